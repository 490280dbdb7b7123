package derp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"tailscale.com/net/stun"
)

// maxReadErrors is how many reads in a row may fail before ServeSTUN gives up.
// Some systems report a reply that was not delivered as an error of a read.
const maxReadErrors = 100

// ServeSTUN answers the binding requests of Tailscale's and Coder's clients
// (RFC 8489) on pc until Close, which makes it return nil. It closes pc. An
// answer is no longer than its request, and all else gets none, so that it
// amplifies nothing.
func (r *Relay) ServeSTUN(pc net.PacketConn) error {
	undo, ok := r.until(pc.Close)
	if !ok {
		return pc.Close()
	}
	defer undo()
	defer pc.Close()
	buf := make([]byte, 1500)
	for failed := 0; failed < maxReadErrors; {
		n, from, err := pc.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			failed++
			continue
		}
		failed = 0
		r.answer(pc, buf[:n], from)
	}
	return fmt.Errorf("serve STUN on %s: %d reads failed in a row", pc.LocalAddr(), maxReadErrors)
}

func (r *Relay) answer(pc net.PacketConn, request []byte, from net.Addr) {
	tx, err := stun.ParseBindingRequest(request)
	udp, ok := from.(*net.UDPAddr)
	if err != nil || !ok {
		r.stats.garbage.Add(1)
		return
	}
	a := udp.AddrPort()
	if _, err := pc.WriteTo(stun.Response(tx, netip.AddrPortFrom(a.Addr().Unmap(), a.Port())), from); err == nil {
		r.stats.stun.Add(1)
	}
}
