//go:build linux

package sshd

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestTenThousandChannels(t *testing.T) {
	l := newLab(t, Config{})
	client := l.dial(t)
	before := runtime.NumGoroutine()
	var open []ssh.Channel
	for range 10_000 {
		ch, reqs, err := client.OpenChannel("session", nil)
		if err != nil {
			continue
		}
		go ssh.DiscardRequests(reqs)
		open = append(open, ch)
	}
	if len(open) != l.srv.limits.Sessions {
		t.Errorf("%d of 10,000 sessions opened, want %d", len(open), l.srv.limits.Sessions)
	}
	if got, most := runtime.NumGoroutine()-before, 4*len(open); got > most {
		t.Errorf("%d goroutines for %d sessions, want at most %d", got, len(open), most)
	}
	if err := l.session(t).Run("true"); err != nil { // on another connection
		t.Errorf("Run for somebody else = %v, want nil", err)
	}
	_ = open[0].Close()
	for { // the server learns of it in its own time
		if s, err := client.NewSession(); err == nil {
			if err := s.Run("true"); err != nil {
				t.Errorf("Run in the place of a closed session = %v, want nil", err)
			}
			break
		}
	}
}

func TestGiantEnvironment(t *testing.T) {
	l := newLab(t, Config{})
	s := l.session(t)
	if err := s.Setenv("BIG", strings.Repeat("x", 200<<10)); err == nil {
		t.Error("Setenv of 200 KiB = nil, want refused")
	}
	for range 1000 {
		_ = s.Setenv("SMALL", strings.Repeat("x", 1000))
	}
	if got, err := s.Output("env | wc -c"); err != nil || len(strings.TrimSpace(string(got))) > 5 {
		t.Errorf("environment of %s bytes, %v, want less than 100,000", got, err)
	}
	// A packet that SSH does not allow ends its own connection only.
	client, other := l.dial(t), l.dial(t)
	_, _, _ = client.SendRequest("nonsense", true, make([]byte, 300<<10))
	if err := client.Wait(); err == nil {
		t.Error("a packet of 300 KiB left the connection open")
	}
	if err := newSession(t, other).Run("true"); err != nil {
		t.Errorf("Run for somebody else = %v, want nil", err)
	}
}

// stuckConn is the connection of a client that stops to read after a while.
type stuckConn struct {
	net.Conn
	once   sync.Once
	left   int
	stuck  chan struct{} // closed when the first write waits
	closed chan struct{}
	ending sync.Once
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		c.once.Do(func() { close(c.stuck) })
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *stuckConn) Close() error {
	c.ending.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFloodsAreBounded has clients that never read what endless programs
// print, on a terminal, a pipe and stderr: memory stays as it is, others are
// served, and Close ends it all.
func TestFloodsAreBounded(t *testing.T) {
	l := newLab(t, Config{})
	before := heap()
	for _, command := range []string{"yes", "yes >&2", "tty; yes"} {
		near, far := tcpPair(t)
		conn := &stuckConn{Conn: far, left: 1 << 20, stuck: make(chan struct{}), closed: make(chan struct{})}
		var served sync.WaitGroup
		served.Go(func() { l.srv.HandleConn(context.Background(), conn) })
		t.Cleanup(served.Wait)
		sc, chans, reqs, err := ssh.NewClientConn(near, "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		if err != nil {
			t.Fatal(err)
		}
		client := ssh.NewClient(sc, chans, reqs)
		t.Cleanup(func() { _ = client.Close() })
		s := newSession(t, client)
		if strings.HasPrefix(command, "tty") {
			if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
				t.Fatal(err)
			}
		}
		s.Stdout, s.Stderr = io.Discard, io.Discard
		if err := s.Start(command); err != nil {
			t.Fatal(err)
		}
		wait(t, conn.stuck, command+" to fill the connection")
	}
	if got, most := heap(), before+(16<<20); got > most {
		t.Errorf("heap = %d bytes during three floods, want at most %d", got, most)
	}
	for range 5 {
		if err := l.session(t).Run("true"); err != nil {
			t.Errorf("Run for somebody else = %v, want nil", err)
		}
	}
	l.close(t)
	if got := l.srv.Counters().ActiveProcesses; got != 0 {
		t.Errorf("%d processes after Close, want 0", got)
	}
}

func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err = net.DialTimeout("tcp", ln.Addr().String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// TestProgramThatDoesNotRead checks that input nobody takes stops at the
// window of its channel and delays no other channel.
func TestProgramThatDoesNotRead(t *testing.T) {
	l := newLab(t, Config{})
	client := l.dial(t)
	before := heap()
	s := newSession(t, client)
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, s, "echo ready; exec sleep 1000")
	written := make(chan struct{})
	go func() { defer close(written); _, _ = io.Copy(in, zeros{}) }()
	for range 20 {
		if err := newSession(t, client).Run("true"); err != nil {
			t.Errorf("Run beside it = %v, want nil", err)
		}
	}
	if got, most := heap(), before+(16<<20); got > most {
		t.Errorf("heap = %d bytes, want at most %d", got, most)
	}
	_ = s.Signal(ssh.SIGKILL)
	_ = s.Wait()
	_ = client.Close()
	wait(t, written, "the writer to end")
}
