package coordinator_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/coordinator/coordtest"
	"github.com/berthdev/berth/tailnet/proto"
)

// pipe is a stream without a transport: what the coordinator itself costs.
type pipe struct {
	requests chan *proto.CoordinateRequest
	close    sync.Once
	closed   chan struct{}
}

func newPipe() *pipe {
	return &pipe{requests: make(chan *proto.CoordinateRequest), closed: make(chan struct{})}
}

func (p *pipe) Send(*proto.CoordinateResponse) error { return nil }

func (p *pipe) Recv() (*proto.CoordinateRequest, error) {
	select {
	case r := <-p.requests:
		return r, nil
	case <-p.closed:
		return nil, errors.New("closed")
	}
}

func (p *pipe) Close() error { p.close.Do(func() { close(p.closed) }); return nil }

// BenchmarkAgentsConnect connects 5,000 agents, each publishing its record,
// and reports the time for all and the memory for one that is idle.
func BenchmarkAgentsConnect(b *testing.B) {
	const agents = 5000
	records := make([]*proto.Node, agents)
	peers := make([]coordinator.Peer, agents)
	c := newCoordinator(b, coordinator.Config{})
	for i := range agents {
		peers[i] = coordtest.Agent()
		p := coordtest.Connect(b, c, peers[i])
		records[i] = p.Record()
		p.Drop()
	}
	for b.Loop() {
		before := heap()
		c := coordinator.New(coordinator.Config{})
		for i := range agents {
			p := newPipe()
			go func() { _ = c.Serve(context.Background(), peers[i], p) }()
			p.requests <- &proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: records[i]}}
			p.requests <- &proto.CoordinateRequest{}
		}
		b.ReportMetric(float64(heap()-before)/agents, "B/agent")
		c.Close()
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
