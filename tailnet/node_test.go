package tailnet

import (
	"io"
	"testing"
	"time"
)

func TestPairTalksAtOnceAndBecomesDirect(t *testing.T) {
	p := startPair(t, startRelay(t), nil)
	serve(t, p.b, 7, echo)
	start := time.Now()
	if err := p.a.AwaitReachable(timeout(t, 5*time.Second), p.addrB); err != nil {
		t.Fatalf("AwaitReachable = %v, want nil", err)
	}
	t.Logf("reachable after %v", time.Since(start))
	c := p.dial(t, 7)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
		t.Fatalf("echo = %q, %v, want hello", buf, err)
	}
	awaitPath(t, p.a, p.addrB, true)
	t.Logf("direct after %v: %+v", time.Since(start), p.a.Path(p.addrB))
	got, err := p.a.Ping(timeout(t, 5*time.Second), p.addrB)
	if err != nil || !got.Direct {
		t.Errorf("Ping = %+v, %v, want a direct answer", got, err)
	}
}
