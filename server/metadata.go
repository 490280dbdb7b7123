package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
)

// BatchUpdateMetadata takes values of keys that the template has.
func (a *agentService) BatchUpdateMetadata(_ context.Context, req *proto.BatchUpdateMetadataRequest) (*proto.BatchUpdateMetadataResponse, error) {
	known := map[string]bool{}
	for _, m := range a.agent.Agent.Config.Metadata {
		known[m.Key] = true
	}
	fits := true
	for _, m := range req.GetMetadata() {
		if !known[m.GetKey()] {
			return nil, fmt.Errorf("the agent has no metadata %.128q", m.GetKey())
		}
		fits = a.s.volatile.setMetadata(a.agent.Agent.ID, m.GetKey(), api.MetadataResult{
			CollectedAt: time.Now().UTC(),
			Value:       strings.ToValidUTF8(m.GetResult().GetValue(), string(utf8.RuneError)), Error: m.GetResult().GetError(),
		}) && fits
	}
	a.s.metadata.changed(a.agent.Agent.ID)
	if !fits {
		return nil, fmt.Errorf("the values of all keys are more than %d bytes together", maxValues)
	}
	return &proto.BatchUpdateMetadataResponse{}, nil
}

// BatchUpdateAppHealths takes how apps of the agent are that have a check.
func (a *agentService) BatchUpdateAppHealths(_ context.Context, req *proto.BatchUpdateAppHealthRequest) (*proto.BatchUpdateAppHealthResponse, error) {
	checked := map[uuid.UUID]bool{}
	for _, app := range a.agent.Agent.Config.Apps {
		checked[app.ID] = app.HealthURL != ""
	}
	for _, u := range req.GetUpdates() {
		id, err := uuid.FromBytes(u.GetId())
		name, known := proto.WorkspaceApp_Health_name[int32(u.GetHealth())]
		switch {
		case err != nil || !checked[id]:
			return nil, errors.New("the agent has no app of this id whose health is checked")
		case !known || u.GetHealth() == proto.WorkspaceApp_HEALTH_UNSPECIFIED:
			return nil, fmt.Errorf("unknown health %d", u.GetHealth())
		}
		a.s.volatile.setHealth(a.agent.Agent.ID, id, strings.ToLower(name))
	}
	if len(req.GetUpdates()) > 0 {
		a.s.events.changed(a.agent.Workspace.ID)
	}
	return &proto.BatchUpdateAppHealthResponse{}, nil
}

// watchMetadata streams the metadata of an agent: at once and after changes, at
// most once in metadataPause.
func (s *Server) watchMetadata(w http.ResponseWriter, r *http.Request) error {
	d, err := s.pathAgent(r, auth.Read)
	if err != nil {
		return err
	}
	return s.serveSSE(w, r, func(ctx context.Context, events sse) error {
		return s.followMetadata(ctx, d.Agent.ID, events, func(list []api.Metadata) error { return events.send(ctx, list) })
	})
}

// watchMetadataSocket is watchMetadata over a WebSocket.
func (s *Server) watchMetadataSocket(w http.ResponseWriter, r *http.Request) error {
	d, err := s.pathAgent(r, auth.Read)
	if err != nil {
		return err
	}
	return s.serveSocket(w, r, func(ctx context.Context, socket jsonSocket) error {
		return s.followMetadata(ctx, d.Agent.ID, socket, func(list []api.Metadata) error {
			return socket.send(ctx, api.StreamEvent{Type: "data", Data: list})
		})
	})
}

// metadataPause keeps a page from being redrawn for each of many keys.
const metadataPause = 250 * time.Millisecond

// followMetadata tells of the metadata of an agent until it is gone.
func (s *Server) followMetadata(ctx context.Context, agent uuid.UUID, to out, tell func([]api.Metadata) error) error {
	changed, stop := s.metadata.watch(agent)
	defer stop()
	return follow(ctx, to, func() (<-chan struct{}, error) {
		d, err := s.store.AgentByID(ctx, agent)
		if err != nil {
			return nil, err
		}
		if err := tell(s.volatile.metadata(d.Agent)); err != nil {
			return nil, err
		}
		select {
		case <-time.After(metadataPause):
		case <-ctx.Done():
		}
		return changed, nil
	})
}
