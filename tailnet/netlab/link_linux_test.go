package netlab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// pair is two public hosts; what they say to each other passes a's link.
func pair(t *testing.T) (a, b *Host) {
	t.Helper()
	lab := newLab(t, KernelConfig{})
	return lab.Host("a"), lab.Host("b")
}

// roundTrips measures exchanges over UDP, one after the other.
func roundTrips(t *testing.T, from *Host, at netip.AddrPort, n int) []time.Duration {
	t.Helper()
	conn := listenUDP(t, from.node, "0.0.0.0:0")
	var times []time.Duration
	for range n {
		start := time.Now()
		send(t, conn, at, "?")
		if text, _ := receive(t, conn, patience); text == "" {
			t.Fatalf("no answer from %v", at)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times
}

func TestKernelLinkLatency(t *testing.T) {
	a, b := pair(t)
	at := mirror(t, b.node)
	for _, test := range []struct {
		out, in Conditions
		want    time.Duration
	}{
		{Conditions{Latency: 25 * time.Millisecond}, Conditions{Latency: 25 * time.Millisecond}, 50 * time.Millisecond},
		{Conditions{Latency: 40 * time.Millisecond}, Conditions{}, 40 * time.Millisecond},
		{Conditions{}, Conditions{Latency: 3 * time.Millisecond}, 3 * time.Millisecond},
		{Conditions{}, Conditions{}, 0},
	} {
		a.Link().Out.Set(test.out)
		a.Link().In.Set(test.in)
		// A busy machine only ever adds, so the least counts, and it may take
		// some time to come: want and a millisecond for each direction.
		least := patience
		for tries := 0; tries < 50 && least > test.want+2*time.Millisecond; tries++ {
			least = min(least, roundTrips(t, a, at, 5)[0])
		}
		t.Logf("want %v, got %v", test.want, least)
		if least < test.want || least > test.want+2*time.Millisecond {
			t.Errorf("round trip with %v out and %v in = %v, want %v", test.out.Latency, test.in.Latency, least, test.want)
		}
	}
}

func TestKernelLinkJitter(t *testing.T) {
	a, b := pair(t)
	a.Link().Out.Set(Conditions{Latency: 5 * time.Millisecond, Jitter: 10 * time.Millisecond})
	times := roundTrips(t, a, mirror(t, b.node), 40)
	if spread := times[35] - times[4]; times[0] < 5*time.Millisecond || spread < 4*time.Millisecond {
		t.Errorf("round trips with 5ms + 0..10ms: least %v, spread %v", times[0], spread)
	}
}

// arrivals sends n numbered packets and lists which arrive.
func arrivals(t *testing.T, a, b *Host, n int) (got []string) {
	t.Helper()
	from, to := listenUDP(t, a.node, "0.0.0.0:0"), listenUDP(t, b.node, "0.0.0.0:0")
	at := netip.AddrPortFrom(b.Addr(), unmapped(to.LocalAddr()).Port())
	before := a.Link().Out.Counters()
	for i := range n {
		send(t, from, at, fmt.Sprint(i))
		if i%50 == 49 || i == n-1 { // no more than a socket buffer at once
			for c := a.Link().Out.Counters(); c.Packets+c.Lost < before.Packets+before.Lost+uint64(i)+1; {
				c = a.Link().Out.Counters()
			}
			for len(got) < int(a.Link().Out.Counters().Packets-before.Packets) {
				text, _ := receive(t, to, patience)
				if text == "" {
					t.Fatalf("packet vanished behind the link after %v", got)
				}
				got = append(got, text)
			}
		}
	}
	return got
}

func TestKernelLinkLossIsSeeded(t *testing.T) {
	a, b := pair(t)
	const n = 500
	lossy := Conditions{Loss: 0.2, Seed: 42}
	a.Link().Set(lossy)
	first := arrivals(t, a, b, n)
	if len(first) < 350 || len(first) > 450 {
		t.Errorf("%d of %d packets arrived at a loss of 0.2", len(first), n)
	}
	if c := a.Link().Out.Counters(); c.Lost != uint64(n-len(first)) {
		t.Errorf("link counts %d lost, want %d", c.Lost, n-len(first))
	}
	a.Link().Set(lossy)
	if again := arrivals(t, a, b, n); !slices.Equal(first, again) {
		t.Errorf("with the same seed arrived %v, then %v", first, again)
	}
	lossy.Seed++
	a.Link().Set(lossy)
	if other := arrivals(t, a, b, n); slices.Equal(first, other) {
		t.Error("another seed lost the same packets")
	}
	a.Link().Set(Conditions{Loss: 1, LossPackets: 5})
	if got := arrivals(t, a, b, 10); !slices.Equal(got, []string{"5", "6", "7", "8", "9"}) {
		t.Errorf("with the first five lost arrived %v", got)
	}
}

// stream sends size bytes over TCP from a to b and returns how long it took
// from the first byte to the last.
func stream(t testing.TB, a, b *Host, size int64) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	ln, err := b.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	sent := make(chan error, 1)
	go func() {
		conn, err := a.Dial(ctx, "tcp", netip.AddrPortFrom(b.Addr(), ln.Addr().(*net.TCPAddr).AddrPort().Port()).String())
		if err == nil {
			err = sendZeros(conn, size)
			conn.Close()
		}
		sent <- err
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	n, err := io.Copy(io.Discard, onlyReader{conn})
	if err := <-sent; err != nil {
		t.Fatalf("send: %v", err)
	}
	if n != size || err != nil {
		t.Fatalf("received %d bytes, %v; want %d", n, err, size)
	}
	return time.Since(start)
}

// onlyReader keeps io.Copy from splicing, which would not touch the bytes.
type onlyReader struct{ io.Reader }

func sendZeros(conn net.Conn, size int64) error {
	buf := make([]byte, 256<<10)
	for size > 0 {
		n, err := conn.Write(buf[:min(size, int64(len(buf)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

func TestKernelLinkRate(t *testing.T) {
	a, b := pair(t)
	a.Link().Out.Set(Conditions{Rate: 20_000_000})
	const size = 2_500_000 // a second
	// A busy machine is slower, but not every time.
	best := 0.0
	for tries := 0; tries < 10 && best < 14e6; tries++ {
		best = max(best, size*8/stream(t, a, b, size).Seconds())
	}
	t.Logf("%.1f Mbit/s", best/1e6)
	if best < 14e6 || best > 20.5e6 {
		t.Errorf("stream over a link of 20 Mbit/s: %.1f Mbit/s", best/1e6)
	}
	if c := a.Link().Out.Counters(); c.Packets < size/1500 {
		t.Errorf("%d bytes passed in %d packets, want them cut to 1500 bytes", size, c.Packets)
	}
}

func TestKernelLinkPartition(t *testing.T) {
	a, b := pair(t)
	at := mirror(t, b.node)
	conn := listenUDP(t, a.node, "0.0.0.0:0")
	expect := func(when string, want bool) {
		t.Helper()
		if _, ok := ask(t, conn, at, want); ok != want {
			t.Errorf("%s: answer = %v, want %v", when, ok, want)
		}
	}
	expect("at first", true)
	a.Link().Set(Conditions{Down: true})
	expect("partitioned", false)
	if c := a.Link().Out.Counters(); c.Cut == 0 {
		t.Errorf("counters of the partitioned link = %+v, want some cut", c)
	}
	a.Link().Set(Conditions{})
	expect("healed", true)
	a.Link().In.Set(Conditions{Down: true})
	sent := a.Link().Out.Counters().Packets
	expect("partitioned one way", false)
	if got := a.Link().Out.Counters().Packets - sent; got != 1 {
		t.Errorf("%d packets passed the way that is open, want 1", got)
	}
	a.Link().In.Set(Conditions{})
	a.Link().Set(Conditions{Latency: time.Hour})
	expect("an hour away", false)
	a.Link().Set(Conditions{Down: true})
	if c := a.Link().Out.Counters(); c.Cut != 2 {
		t.Errorf("counters = %+v, want the packet under way cut too", c)
	}
}

// TestKernelLinkChangesUnderLoad changes a link under load: large
// segments must give way to packets and back without a byte lost.
func TestKernelLinkChangesUnderLoad(t *testing.T) {
	a, b := pair(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			a.Link().Set([]Conditions{{Latency: time.Millisecond}, {}, {Down: true}, {}, {Loss: 0.01}}[i%5])
		}
	}()
	stream(t, a, b, 100<<20)
	close(stop)
	<-stopped
	if c := a.Link().Out.Counters(); c.Refused != 0 {
		t.Errorf("counters = %+v, want none refused", c)
	}
}

func BenchmarkKernelStream(b *testing.B) {
	for _, test := range []struct {
		name string
		cond Conditions
	}{
		{"perfect", Conditions{}},
		{"packets", Conditions{Latency: time.Nanosecond}},
		{"latency=5ms", Conditions{Latency: 5 * time.Millisecond}},
	} {
		b.Run(test.name, func(b *testing.B) {
			lab := NewKernel(b, KernelConfig{})
			from, to := lab.Host("from"), lab.Host("to")
			from.Link().Set(test.cond)
			const size = 256 << 20
			b.SetBytes(size)
			for b.Loop() {
				stream(b, from, to, size)
			}
		})
	}
}
