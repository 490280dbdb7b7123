package tailnet

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/berthdev/berth/tailnet/proto"
)

// Want says whether the node wants to reach an agent from now on. Asking twice
// is asking once. It does not block; ControlConfig.Programmed tells when the
// agent can be dialed. What is not wanted any more is hung up on.
func (c *Control) Want(agent uuid.UUID, wanted bool) {
	c.mu.Lock()
	if wanted {
		c.wanted[agent] = true
	} else {
		delete(c.wanted, agent)
	}
	c.mu.Unlock()
	notify(c.asked)
}

func (c *Control) destinations() map[uuid.UUID]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.wanted)
}

// retarget opens and closes tunnels as wanted.
func (c *Control) retarget(stream proto.DRPCTailnet_CoordinateClient) error {
	add, remove := c.state.retarget(c.destinations(), false)
	for _, id := range add {
		if err := send(stream, &proto.CoordinateRequest{AddTunnel: tunnelTo(id)}); err != nil {
			return err
		}
	}
	for _, id := range remove {
		if err := send(stream, &proto.CoordinateRequest{RemoveTunnel: tunnelTo(id)}); err != nil {
			return err
		}
	}
	return nil
}

func tunnelTo(id uuid.UUID) *proto.CoordinateRequest_Tunnel {
	return &proto.CoordinateRequest_Tunnel{Id: slices.Clone(id[:])}
}

// retarget takes other destinations and returns which tunnels to open and to
// close. On a new connection all are to be opened.
func (s *controlState) retarget(wanted map[uuid.UUID]bool, anew bool) (add, remove []uuid.UUID) {
	for id := range wanted {
		if anew || !s.destinations[id] {
			add = append(add, id)
		}
	}
	for id := range s.destinations {
		if !anew && !wanted[id] {
			remove = append(remove, id)
		}
	}
	s.destinations = wanted
	return add, remove
}
