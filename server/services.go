package server

import (
	"context"

	"storj.io/drpc"
	"storj.io/drpc/drpcmux"

	agentproto "github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/tailnet/proto"
)

// services are what one session may call.
type services struct {
	mux     *drpcmux.Mux // one of Server.muxes
	agent   *agentService
	tailnet *coordinator.Service
}

// muxes know the methods of services. They are the same for all sessions: whose
// a call is it says by its context.
type muxes struct {
	agent     *drpcmux.Mux // both services
	collector *drpcmux.Mux // that of agents only
	client    *drpcmux.Mux // that of the tailnet only
}

func newMuxes() muxes {
	m := muxes{agent: drpcmux.New(), collector: drpcmux.New(), client: drpcmux.New()}
	agent := ofSession{agentproto.DRPCAgentDescription{}, func(s *services) any { return s.agent }}
	tailnet := ofSession{proto.DRPCTailnetDescription{}, func(s *services) any { return s.tailnet }}
	for _, err := range []error{
		m.agent.Register(nil, agent), m.agent.Register(nil, tailnet),
		m.collector.Register(nil, agent), m.client.Register(nil, tailnet),
	} {
		must(err)
	}
	return m
}

// must is for registrations, which fail for a service that is not one.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// ofSession is a service whose implementation is that of the session.
type ofSession struct {
	drpc.Description
	pick func(*services) any
}

// Method implements drpc.Description.
func (o ofSession) Method(n int) (string, drpc.Encoding, drpc.Receiver, any, bool) {
	rpc, enc, receive, method, ok := o.Description.Method(n)
	return rpc, enc, func(_ any, ctx context.Context, in1, in2 any) (drpc.Message, error) {
		s, _ := ctx.Value(keyServices).(*services)
		return receive(o.pick(s), ctx, in1, in2)
	}, method, ok
}

// HandleRPC implements drpc.Handler.
func (s *services) HandleRPC(stream drpc.Stream, rpc string) error {
	ctx := context.WithValue(stream.Context(), keyServices, s)
	return s.mux.HandleRPC(sessionStream{stream, ctx}, rpc)
}

// sessionStream is a stream whose context knows the services of its session.
type sessionStream struct {
	drpc.Stream
	ctx context.Context
}

// Context implements drpc.Stream.
func (s sessionStream) Context() context.Context { return s.ctx }
