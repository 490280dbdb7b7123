package server

import (
	"net"
	"strconv"
	"testing"
)

// TestRelayPortIsFreeForBoth occupies, for UDP only, one in thirty of the ports
// that the system chooses from, and asks for 200.
func TestRelayPortIsFreeForBoth(t *testing.T) {
	tcp, udp, err := listenRelay("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := addrPort(tcp.Addr())
	tcp.Close() // its number is free for TCP only
	defer udp.Close()
	if _, _, err := listenRelay(taken.String()); err == nil {
		t.Errorf("listenRelay(%v) = nil, want an error: the port is taken for UDP", taken)
	}
	var held []net.PacketConn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for port := 32768; port < 61000; port += 2 { // Linux chooses even numbers for TCP's port 0 first
		if c, err := net.ListenPacket("udp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			held = append(held, c)
		}
		if len(held) == 500 {
			break
		}
	}
	for range 200 {
		tcp, udp, err := listenRelay("127.0.0.1:0")
		if err != nil {
			t.Fatalf("listenRelay with %d ports taken for UDP = %v, want another port", len(held), err)
		}
		if got, want := udp.LocalAddr().(*net.UDPAddr).Port, addrPort(tcp.Addr()).Port(); got != int(want) {
			t.Errorf("UDP port %d beside TCP port %d, want the same", got, want)
		}
		tcp.Close()
		udp.Close()
	}
}
