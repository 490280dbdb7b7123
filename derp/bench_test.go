package derp

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

// BenchmarkRelayed sends packets from one client to another through the relay,
// over TLS. In-flight bytes are bounded as a TCP connection inside would.
func BenchmarkRelayed(b *testing.B) {
	for _, size := range []int{1280, 32000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newSite(b, Config{})
			to := key.NewNode()
			c, d := s.dialTLS(b, key.NewNode()), s.dialTLS(b, to)
			up(b, c)
			up(b, d)
			window := make(chan struct{}, max(1, 512<<10/size))
			received := make(chan error, 1)
			go func() {
				for got := 0; got < b.N; {
					m, err := d.Recv()
					if err != nil {
						received <- err
						return
					}
					if _, ok := m.(derp.ReceivedPacket); ok {
						got++
						<-window
					}
				}
				received <- nil
			}()
			packet := make([]byte, size)
			b.SetBytes(int64(size))
			b.ResetTimer()
			for range b.N {
				window <- struct{}{}
				if err := c.Send(to.Public(), packet); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-received; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(s.relay.Stats().Dropped), "dropped")
		})
	}
}

// BenchmarkKeystroke measures round trips of 100 bytes beside a client that
// sends as much as it can to the same peer.
func BenchmarkKeystroke(b *testing.B) {
	s := newSite(b, Config{})
	agentKey, userKey := key.NewNode(), key.NewNode()
	agent, user, greedy := s.dialSmall(b, agentKey), s.dialTLS(b, userKey), s.dialTLS(b, key.NewNode())
	up(b, agent)
	up(b, user)
	up(b, greedy)
	var stop atomic.Bool
	ended := make(chan struct{}, 2)
	go func() {
		defer func() { ended <- struct{}{} }()
		for packet := make([]byte, 32000); !stop.Load(); {
			if greedy.Send(agentKey.Public(), packet) != nil {
				return
			}
		}
	}()
	go func() {
		defer func() { ended <- struct{}{} }()
		for {
			m, err := agent.Recv()
			if err != nil {
				return
			}
			if p, ok := m.(derp.ReceivedPacket); ok && p.Source == userKey.Public() {
				if agent.Send(p.Source, p.Data) != nil {
					return
				}
			}
		}
	}()
	var times []time.Duration
	for b.Loop() {
		start := time.Now()
		if err := user.Send(agentKey.Public(), make([]byte, 100)); err != nil {
			b.Fatal(err)
		}
		receive(b, user)
		times = append(times, time.Since(start))
	}
	stop.Store(true)
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "ms-p99")
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-p50")
	greedy.Close()
	s.relay.Close() // ends the agent
	<-ended
	<-ended
}

// dialSmall connects without TLS and with a small receive buffer: what waits
// there waits behind the relay's back.
func (s *site) dialSmall(t testing.TB, k key.NodePrivate) *derp.Client {
	nc := s.upgrade(t)
	if err := nc.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	c, err := derp.NewClient(k, nc, bufio.NewReadWriter(bufio.NewReader(nc), bufio.NewWriter(nc)), logger.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
