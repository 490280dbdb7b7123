package derp

import (
	"errors"
	"net"
	"testing"
	"time"

	"tailscale.com/net/stun"
)

func TestSTUNIsAnswered(t *testing.T) {
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.ServeSTUN(pc) }()
	c, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tx := stun.NewTxID()
	for _, datagram := range [][]byte{[]byte("garbage"), stun.Request(tx)} {
		if _, err := c.Write(datagram); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	got, addr, err := stun.ParseResponse(buf[:n])
	if err != nil || got != tx || addr.String() != c.LocalAddr().String() {
		t.Errorf("answer = %v, %v, %v, want %v, %v", got, addr, err, tx, c.LocalAddr())
	}
	if err := errors.Join(r.Close(), <-served); err != nil {
		t.Error(err)
	}
	if got := r.Stats(); got.STUN != 1 || got.Garbage != 1 {
		t.Errorf("Stats = %+v, want 1 answered, 1 garbage", got)
	}
}
