package netstack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// localTCP listens on loopback and answers each connection with everything it
// sent, once it has ended.
func localTCP(t *testing.T, address string) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("listen on %s: %v", address, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all, _ := io.ReadAll(c)
			c.Write(all)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestLoopbackTCP(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			port := localTCP(t, address)
			w := newWire(t, Config{}, Config{TCP: LoopbackTCP})
			c := dialB(t, w, port)
			if _, err := io.WriteString(c, "question"); err != nil {
				t.Fatal(err)
			}
			if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if err != nil || string(got) != "question" {
				t.Errorf("answer after half-close = %q, %v, want question", got, err)
			}
		})
	}
}

func TestLoopbackRefuses(t *testing.T) {
	w := newWire(t, Config{}, Config{TCP: LoopbackTCP})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	_, err = w.a.DialTCP(deadline(t, 10*time.Second), netip.AddrPortFrom(addrB, uint16(port)))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("DialTCP to a closed local port = %v, want ECONNREFUSED", err)
	}
}

func TestFlowsAreBounded(t *testing.T) {
	port := localTCP(t, "127.0.0.1:0")
	w := newWire(t, Config{}, Config{TCP: LoopbackTCP, Flows: 1})
	c := dialB(t, w, port)
	if _, err := w.a.DialTCP(deadline(t, 10*time.Second), netip.AddrPortFrom(addrB, port)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("second DialTCP with Flows 1 = %v, want ECONNREFUSED", err)
	}
	if got := w.b.Counters().FlowsRefused; got != 1 {
		t.Errorf("FlowsRefused = %d, want 1", got)
	}
	c.Close()
}

func TestLoopbackUDP(t *testing.T) {
	local, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, datagramMax)
		for {
			n, from, err := local.ReadFrom(buf)
			if err != nil {
				return
			}
			local.WriteTo(buf[:n], from)
		}
	}()
	t.Cleanup(func() { local.Close(); <-done })
	w := newWire(t, Config{}, Config{UDP: LoopbackUDP})
	c, err := w.a.DialUDP(netip.AddrPortFrom(addrB, uint16(local.LocalAddr().(*net.UDPAddr).Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantEcho(t, c, "datagram")
	wantEcho(t, c, "another")
	wantEcho(t, c, strings.Repeat("in many fragments", 3000))
}
