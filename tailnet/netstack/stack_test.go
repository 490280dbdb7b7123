package netstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// accepted runs handle for each connection to port of s.
func accepted(t testing.TB, s *Stack, port uint16, handle func(net.Conn)) {
	t.Helper()
	l, err := s.ListenTCP(port)
	if err != nil {
		t.Fatalf("ListenTCP(%d) = %v, want nil", port, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); handle(c) })
		}
	})
	t.Cleanup(func() { l.Close(); s.Close(); wg.Wait() })
}

func dialB(t testing.TB, w *wire, port uint16) net.Conn {
	t.Helper()
	c, err := w.a.DialTCP(deadline(t, 10*time.Second), netip.AddrPortFrom(addrB, port))
	if err != nil {
		t.Fatalf("DialTCP(%d) = %v, want nil", port, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func echo(c net.Conn) { io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

func wantEcho(t testing.TB, c net.Conn, text string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("write %q = %v", text, err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("read back %.40q, %v, want %.40q", got, err, text)
	}
}

func TestPacketsAreCutForThePath(t *testing.T) {
	for _, tt := range []struct {
		relayed bool
		direct  int // what the direct path carries
		min     int
		max     int
	}{{false, 0, 1200, DirectMTU}, {false, 8912, 8900, 8912}, {true, 0, RelayMTU - 200, RelayMTU}} {
		t.Run(fmt.Sprintf("relayed=%v direct=%v", tt.relayed, tt.direct), func(t *testing.T) {
			w := newWire(t, Config{}, Config{})
			w.setRelayed(tt.relayed)
			w.ab.SetDirectMTU(tt.direct)
			w.ba.SetDirectMTU(tt.direct)
			accepted(t, w.b, 7, echo)
			c := dialB(t, w, 7)
			text := strings.Repeat("0123456789abcdef", 64<<10)
			done := make(chan error, 1)
			go func() { _, err := io.WriteString(c, text); done <- err }()
			got := make([]byte, len(text))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
				t.Fatalf("read %d bytes, %v, want those written", len(got), err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := w.largestPacket(); got < tt.min || got > tt.max {
				t.Errorf("largest packet = %d, want %d to %d", got, tt.min, tt.max)
			}
			if a, b := w.a.Counters(), w.b.Counters(); a != (Counters{}) || b != (Counters{}) {
				t.Errorf("Counters() = %+v and %+v, want all zero", a, b)
			}
		})
	}
}

// TestRepeatedPacketsAreCutForThePathOfTheirTime loses packets that are too large
// for a path, until somebody has noticed.
func TestRepeatedPacketsAreCutForThePathOfTheirTime(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	accepted(t, w.b, 7, echo)
	c := dialB(t, w, 7)
	w.ab.SetDirectMTU(8912)
	var lost atomic.Int32
	w.filter(func(from *Stack, pkt []byte) bool {
		if from != w.a || len(pkt) <= DirectMTU {
			return true
		}
		if lost.Add(1) == 3 {
			w.ab.SetDirectMTU(DirectMTU)
		}
		return false
	})
	wantEcho(t, c, strings.Repeat("0123456789abcdef", 1<<10))
	// What was cut together with the third may follow it.
	if got := lost.Load(); got < 3 || got > 4 {
		t.Errorf("%d packets were too large, want 3 or 4", got)
	}
}

func TestConnectionGoesOnWithinASecondOfAnOutage(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	accepted(t, w.b, 7, echo)
	c := dialB(t, w, 7)
	wantEcho(t, c, "before")
	// The outage is as long as the first eight retransmissions would take with
	// doubling time-outs; the ninth would come a minute later.
	var lost atomic.Int32
	enough := make(chan struct{})
	w.filter(func(*Stack, []byte) bool {
		if lost.Add(1) == 8 {
			close(enough)
		}
		return false
	})
	if _, err := io.WriteString(c, "after"); err != nil {
		t.Fatal(err)
	}
	<-enough
	w.filter(nil)
	healed := time.Now()
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "after" {
		t.Fatalf("read %q, %v, want after", got, err)
	}
	if took := time.Since(healed); took > maxRTO+200*time.Millisecond {
		t.Errorf("the connection went on %v after the outage, want within %v", took, maxRTO)
	}
}

func TestDialRefused(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	_, err := w.a.DialTCP(deadline(t, 10*time.Second), netip.AddrPortFrom(addrB, 9))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("DialTCP to a port without listener = %v, want ECONNREFUSED", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	s := newStack(t, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.DialTCP(ctx, netip.AddrPortFrom(addrB, 9)); !errors.Is(err, context.Canceled) {
		t.Errorf("DialTCP with a cancelled context = %v, want context.Canceled", err)
	}
}

func TestAcceptEndsWithClose(t *testing.T) {
	s := newStack(t, Config{})
	l, err := s.ListenTCP(0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { _, err := l.Accept(); done <- err }()
	l.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close = %v, want net.ErrClosed", err)
	}
	if _, err := s.ListenTCP(uint16(l.Addr().(*net.TCPAddr).Port)); err != nil {
		t.Errorf("ListenTCP on the port of a closed listener = %v, want nil", err)
	}
}

func TestPortInUse(t *testing.T) {
	s := newStack(t, Config{})
	if _, err := s.ListenTCP(7); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ListenTCP(7); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second ListenTCP(7) = %v, want EADDRINUSE", err)
	}
}

func TestPingTSMP(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	if rtt, err := w.a.PingTSMP(deadline(t, 10*time.Second), addrB); err != nil || rtt <= 0 {
		t.Errorf("PingTSMP = %v, %v, want a round trip", rtt, err)
	}
	if got := w.probes.Load(); got != 0 {
		t.Errorf("%d messages of a plain ping and its answer are probes, want 0", got)
	}
	if err := w.a.PingSized(deadline(t, 10*time.Second), addrB, 8912); err != nil || w.largestPacket() != 8912 {
		t.Errorf("PingSized = %v with a packet of %d bytes, want nil and 8912", err, w.largestPacket())
	}
	if got := w.probes.Load(); got != 1 {
		t.Errorf("%d messages of a sized ping and its answer are probes, want 1", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.filter(func(*Stack, []byte) bool { cancel(); return false })
	if _, err := w.a.PingTSMP(ctx, addrB); !errors.Is(err, context.Canceled) {
		t.Errorf("PingTSMP without answer = %v, want context.Canceled", err)
	}
	if len(w.a.pings.waiting) != 0 {
		t.Errorf("%d pings are still waited for, want 0", len(w.a.pings.waiting))
	}
}

func TestPacketsWithoutPeerAreCounted(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	w.a.RemovePeer(w.ab)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for w.a.Counters().NoPeer == 0 {
			<-tick.C
		}
		cancel()
	}()
	if _, err := w.a.PingTSMP(ctx, addrB); !errors.Is(err, context.Canceled) {
		t.Errorf("PingTSMP to nobody = %v, want it to wait until cancelled", err)
	}
}

func TestAbortResetsTheConnectionsOfAPeer(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	accepted(t, w.b, 7, echo)
	c := dialB(t, w, 7)
	wantEcho(t, c, "hello")
	if got := w.b.Talking(); len(got) != 1 || got[0] != addrA {
		t.Errorf("Talking() = %v, want %v", got, addrA)
	}
	w.b.Abort(addrA)
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read after Abort = %v, want a reset", err)
	}
}
