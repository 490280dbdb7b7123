package forward

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what takes a moment.
const patience = 20 * time.Second

// running listens for a rule, and runs the forward until the test ends.
func running(t *testing.T, rule Rule, cfg Config) (f *Forward, ended <-chan struct{}) {
	t.Helper()
	f, err := Listen(rule, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return f, done
}

// pipes is a Dial whose other ends come out of a channel.
func pipes() (dial func(context.Context, string, Endpoint) (net.Conn, error), far <-chan net.Conn) {
	ends := make(chan net.Conn, 16)
	return func(context.Context, string, Endpoint) (net.Conn, error) {
		a, b := net.Pipe()
		ends <- b
		return a, nil
	}, ends
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func mustRead(t *testing.T, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func TestStopLeavesOpenConnections(t *testing.T) {
	dialFar, far := pipes()
	f, ended := running(t, Rule{Network: "tcp", Target: Endpoint{Port: 1}}, Config{Dial: dialFar})
	near := dial(t, "tcp", f.Addresses()[0])
	if _, err := io.WriteString(near, "before"); err != nil {
		t.Fatal(err)
	}
	there := <-far
	mustRead(t, there, "before")
	f.Stop()
	if c, err := net.Dial("tcp", f.Addresses()[0]); err == nil {
		c.Close()
		t.Error("a stopped forward still takes connections")
	}
	if _, err := io.WriteString(there, "after"); err != nil {
		t.Fatal(err)
	}
	mustRead(t, near, "after")
	if s := f.Status(); s.Open != 1 || s.Total != 1 || s.Sent != 6 || s.Received != 5 {
		t.Errorf("Status = %+v, want one open connection, 6 bytes sent and 5 received", s)
	}
	there.Close()
	near.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("a stopped forward goes on after its last connection")
	}
}

func TestFreePortIsTheSameOnBothAddresses(t *testing.T) {
	dialFar, _ := pipes()
	f, _ := running(t, Rule{Network: "tcp", Target: Endpoint{Port: 1}}, Config{Dial: dialFar})
	all := f.Addresses()
	_, first, _ := net.SplitHostPort(all[0])
	if _, last, _ := net.SplitHostPort(all[len(all)-1]); first != last || first == "0" {
		t.Errorf("Addresses = %q, want one port", all)
	}
}

// An address is that address only: Go would listen on those of the other family
// too, which others can reach.
func TestAddressOfOneFamily(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		for host, want := range map[string]string{"0.0.0.0": "0.0.0.0", "127.0.0.1": "127.0.0.1", "::": "[::]", "::1": "[::1]"} {
			f, err := Listen(Rule{Network: network, Listen: Endpoint{Host: host}, Target: Endpoint{Port: 1}}, Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Stop()
			at := f.Addresses()[0]
			if !strings.HasPrefix(at, want+":") {
				t.Errorf("%s %s listens on %s", network, host, at)
			}
			if network != "tcp" || host != "::" {
				continue
			}
			if c, err := net.Dial("tcp4", "127.0.0.1"+strings.TrimPrefix(at, "[::]")); err == nil {
				c.Close()
				t.Error(":: is reached by IPv4")
			}
		}
	}
}

func TestTakenPortIsAnError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := uint16(ln.Addr().(*net.TCPAddr).Port)
	if f, err := Listen(Rule{Network: "tcp", Listen: Endpoint{Port: port}}, Config{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("Listen on a port that is taken = %v, %v; want that it is in use", f, err)
	}
}

func TestFailureIsTold(t *testing.T) {
	nobody := errors.New("nobody is there")
	f, _ := running(t, Rule{Network: "tcp", Target: Endpoint{Port: 1}}, Config{
		Dial: func(context.Context, string, Endpoint) (net.Conn, error) { return nil, nobody },
	})
	near, err := net.DialTimeout("tcp", f.Addresses()[0], patience)
	if err == nil { // else it was reset already
		defer near.Close()
		if err := near.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, err = near.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection that leads nowhere = %v, want a reset", err)
	}
	if s := f.Status(); !errors.Is(s.Failure, nobody) || s.Open != 0 || s.Total != 1 {
		t.Errorf("Status = %+v, want the failure of its one connection", s)
	}
}

// TestSocketOfADeadProcess leaves a socket as a process does that is killed, and
// tries to take one that somebody listens on.
func TestSocketOfADeadProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	dialFar, far := pipes()
	rule := Rule{Network: "tcp", Listen: Endpoint{Path: path}, Target: Endpoint{Port: 1}}
	running(t, rule, Config{Dial: dialFar})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the socket = %v, %v; want that only its owner reaches it", info.Mode(), err)
	}
	near := dial(t, "unix", path)
	if _, err := io.WriteString(near, "hello"); err != nil {
		t.Fatal(err)
	}
	mustRead(t, <-far, "hello")
	if f, err := Listen(rule, Config{Dial: dialFar}); err == nil {
		f.Stop()
		t.Error("a socket that somebody listens on was taken away from them")
	}
	if err := os.WriteFile(path+"file", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	rule.Listen.Path += "file"
	if f, err := Listen(rule, Config{Dial: dialFar}); err == nil {
		f.Stop()
		t.Error("a file was replaced by a socket")
	}
}

// TestConversationsAreBounded floods a port from more addresses than it keeps
// conversations for; those that there are go on.
func TestConversationsAreBounded(t *testing.T) {
	f, _ := running(t, Rule{Network: "udp", Target: Endpoint{Port: 1}}, Config{
		Dial: func(context.Context, string, Endpoint) (net.Conn, error) {
			a, b := net.Pipe()
			go func() { _, _ = io.Copy(b, b) }() // ends with a
			return a, nil
		},
	})
	first := dial(t, "udp", f.Addresses()[0])
	echo(t, first, "hello")
	for range maxFlows - 1 {
		echo(t, dial(t, "udp", f.Addresses()[0]), "x")
	}
	for range 10 {
		if _, err := dial(t, "udp", f.Addresses()[0]).Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	echo(t, first, "still here")
	if s := f.Status(); s.Dropped != 10 || s.Open != maxFlows {
		t.Errorf("Status = %+v, want %d conversations and 10 datagrams dropped", s, maxFlows)
	}
}

func echo(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, datagramMax)
	n, err := c.Read(buf)
	if err != nil || !bytes.Equal(buf[:n], []byte(text)) {
		t.Fatalf("answer = %q, %v; want %q", buf[:n], err, text)
	}
}
