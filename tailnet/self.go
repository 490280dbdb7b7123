package tailnet

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"

	protobuf "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/tailnet/proto"
)

// selfRecord keeps the node's own record and publishes it when it changes.
type selfRecord struct {
	publish func(*proto.Node)
	changed chan struct{} // 1: there is something new

	mu   sync.Mutex // guards below
	now  *proto.Node
	sent *proto.Node // last published, without its time and latencies
}

func newSelfRecord(cfg Config, k key.NodePublic) *selfRecord {
	addresses := prefixStrings(cfg.Addresses)
	id := cfg.ID
	if id == 0 {
		id = rand.Int64()
	}
	return &selfRecord{publish: cfg.Self, changed: make(chan struct{}, 1), now: &proto.Node{
		Id: id, Key: encodeKey(k), Addresses: addresses, AllowedIps: slices.Clone(addresses),
	}}
}

// change applies f to the record and wakes run.
func (s *selfRecord) change(f func(*proto.Node)) {
	s.mu.Lock()
	f(s.now)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// run publishes the record after each change that makes it differ.
func (s *selfRecord) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
		}
		if rec := s.next(); rec != nil && s.publish != nil {
			s.publish(rec)
		}
	}
}

// next returns the record to publish, nil if there is none. Without a home
// relay nobody could use it. A latency alone, which changes with every
// measurement and only informs, is no reason to tell all peers.
func (s *selfRecord) next() *proto.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := protobuf.CloneOf(s.now)
	rec.DerpLatency = nil
	if rec.PreferredDerp == 0 || protobuf.Equal(rec, s.sent) {
		return nil
	}
	s.sent = rec
	rec = protobuf.CloneOf(s.now)
	rec.AsOf = timestamppb.Now()
	return rec
}

func (s *selfRecord) setDisco(k key.DiscoPublic) {
	s.change(func(r *proto.Node) { r.Disco = k.String() })
}

func (s *selfRecord) setHome(region int) {
	s.change(func(r *proto.Node) { r.PreferredDerp = int32(region) })
}

// setForcedWebSocket notes that region is only reached by WebSocket, and why.
func (s *selfRecord) setForcedWebSocket(region int, reason string) {
	s.change(func(r *proto.Node) {
		m := map[int32]string{int32(region): reason}
		for k, v := range r.DerpForcedWebsocket {
			if k != int32(region) {
				m[k] = v
			}
		}
		if reason == "" {
			delete(m, int32(region))
		}
		r.DerpForcedWebsocket = m
	})
}

// endpointsChanged is called by magicsock with all UDP addresses of the node.
func (n *Node) endpointsChanged(list []tailcfg.Endpoint) {
	if n.cfg.BlockDirect {
		return
	}
	var eps []string
	for _, e := range list {
		if usable(e.Addr) && len(eps) < maxEndpoints {
			eps = append(eps, e.Addr.String())
		}
	}
	n.self.change(func(r *proto.Node) { r.Endpoints = eps })
}

// netInfoChanged is called by magicsock with the latency of each relay.
func (n *Node) netInfoChanged(info *tailcfg.NetInfo) {
	n.self.change(func(r *proto.Node) {
		r.DerpLatency = make(map[string]float64, len(info.DERPLatency))
		for region, seconds := range info.DERPLatency {
			r.DerpLatency[region] = seconds
		}
	})
}
