package netlab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestKernelBlock(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	server := lab.Host("server")
	at, other := mirror(t, server.node), mirror(t, server.node)
	ln, err := server.Listen("tcp", ":443")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	home := lab.Router("home", EasyNAT)
	laptop := home.Host("laptop")
	conn := listenUDP(t, laptop.node, "0.0.0.0:0")
	tcp := func(expected bool) error {
		ctx, cancel := context.WithTimeout(t.Context(), waitFor(expected))
		defer cancel()
		c, err := laptop.Dial(ctx, "tcp", netip.AddrPortFrom(server.Addr(), 443).String())
		if err == nil {
			c.Close()
		}
		return err
	}
	expect := func(when string, udp, udpOther, tcpOpen bool) {
		t.Helper()
		if _, ok := ask(t, conn, at, udp); ok != udp {
			t.Errorf("%s: UDP to %v passes = %v, want %v", when, at, ok, udp)
		}
		if _, ok := ask(t, conn, other, udpOther); ok != udpOther {
			t.Errorf("%s: UDP to %v passes = %v, want %v", when, other, ok, udpOther)
		}
		if err := tcp(tcpOpen); (err == nil) != tcpOpen {
			t.Errorf("%s: TCP = %v, want it open: %v", when, err, tcpOpen)
		}
	}
	udp := Filter{Proto: "udp"}
	onePort := Filter{Proto: "udp", Addr: server.Addr(), Port: at.Port()}
	expect("at first", true, true, true)
	laptop.Block(udp)
	expect("UDP blocked at the host", false, false, true)
	laptop.Unblock(udp)
	home.Block(udp)
	expect("UDP blocked at the router", false, false, true)
	home.Unblock(udp)
	laptop.Block(onePort)
	laptop.Block(onePort)
	expect("one port blocked", false, true, true)
	laptop.MoveTo(lab.Public())
	expect("one port blocked, elsewhere", false, true, true)
	laptop.Unblock(onePort)
	laptop.Block(Filter{Addr: server.Addr()})
	expect("server blocked", false, false, false)
	laptop.Unblock(Filter{Addr: server.Addr()})
	expect("at last", true, true, true)
}

// TestKernelBlockSilentOrRejecting looks at what the blocked side is told.
func TestKernelBlockSilentOrRejecting(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	server, laptop := lab.Host("server"), lab.Host("laptop")
	to := netip.AddrPortFrom(server.Addr(), 443).String()
	for _, proto := range []string{"tcp", "udp"} {
		for _, reject := range []bool{false, true} {
			f := Filter{Proto: proto, Reject: reject}
			laptop.Block(f)
			err := exchange(t, laptop, proto, to, waitFor(reject))
			var timeout net.Error
			silent := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
			if err == nil || silent == reject {
				t.Errorf("%+v: exchange = %v, want rejected: %v", f, err, reject)
			}
			laptop.Unblock(f)
		}
	}
}

func exchange(t *testing.T, h *Host, proto, to string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	conn, err := h.Dial(ctx, proto, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("?")); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(within))
	_, err = conn.Read(make([]byte, 1))
	return err
}
