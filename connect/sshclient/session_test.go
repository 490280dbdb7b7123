//go:build linux

package sshclient_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/berthdev/berth/agent/sshd"
	"github.com/berthdev/berth/connect/sshclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// pair returns the two ends of a loopback connection.
func pair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// open runs req on the SSH server of agents. lost cuts its connection.
func open(t testing.TB, req sshclient.Request) (s *sshclient.Session, lost func()) {
	t.Helper()
	client, lost := served(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := sshclient.Open(ctx, client, req)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s, lost
}

// refusedOpen returns the error that req ends with.
func refusedOpen(t testing.TB, req sshclient.Request) error {
	t.Helper()
	client, _ := served(t)
	s, err := sshclient.Open(t.Context(), client, req)
	if err == nil {
		s.Close()
	}
	return err
}

// served returns a connection to the SSH server of agents. lost cuts it.
func served(t testing.TB) (client net.Conn, lost func()) {
	t.Helper()
	key, err := sshd.HostKey("test")
	if err != nil {
		t.Fatal(err)
	}
	srv := sshd.New(key, sshd.Config{Shell: "/bin/sh"})
	client, server := pair(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		srv.HandleConn(context.Background(), server)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
	return client, func() { server.Close() }
}

// finish reads everything and waits for the end.
func finish(t testing.TB, s *sshclient.Session) (out, errs []byte, exit sshclient.Exit) {
	t.Helper()
	read := make(chan struct{})
	go func() {
		defer close(read)
		errs, _ = io.ReadAll(s.Stderr)
	}()
	var buf bytes.Buffer
	if _, err := s.Stdout.WriteTo(&buf); err != nil {
		t.Errorf("read stdout: %v", err)
	}
	<-read
	exit, err := s.Wait()
	if err != nil {
		t.Errorf("Wait = %v", err)
	}
	return buf.Bytes(), errs, exit
}

func TestCommands(t *testing.T) {
	for name, c := range map[string]struct {
		req       sshclient.Request
		out, errs string
		status    int
	}{
		"status":      {sshclient.Request{Command: "echo out; echo err >&2; exit 7"}, "out\n", "err\n", 7},
		"nothing":     {sshclient.Request{Command: "true"}, "", "", 0},
		"environment": {sshclient.Request{Command: `echo "$COLOUR"`, Env: []string{"COLOUR=a b=c"}}, "a b=c\n", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t, c.req)
			s.CloseWrite()
			out, errs, exit := finish(t, s)
			if string(out) != c.out || string(errs) != c.errs || exit.Status != c.status || !exit.Known {
				t.Errorf("%q = %q, %q, %+v, want %q, %q, %d", c.req.Command, out, errs, exit, c.out, c.errs, c.status)
			}
		})
	}
}

func TestSignalsEndCommandsAndAreReported(t *testing.T) {
	s, _ := open(t, sshclient.Request{Command: "echo ready; exec sleep 100"})
	if _, err := io.ReadFull(s.Stdout, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := s.Signal("TERM"); err != nil {
		t.Fatal(err)
	}
	if exit, err := s.Wait(); err != nil || exit.Signal != "TERM" {
		t.Errorf("Wait after TERM = %+v, %v, want the signal TERM", exit, err)
	}
}

func TestBytesArriveAsTheyAre(t *testing.T) {
	data := make([]byte, 24<<20) // three windows
	rand.Read(data)
	s, _ := open(t, sshclient.Request{Command: "cat"})
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		sent <- errors.Join(err, s.CloseWrite())
	}()
	out, _, _ := finish(t, s)
	if err := <-sent; err != nil {
		t.Errorf("Write = %v", err)
	}
	if sha256.Sum256(out) != sha256.Sum256(data) {
		t.Errorf("%d bytes came back of %d, or other ones", len(out), len(data))
	}
}

func TestTerminalHasTheSizeOfOurs(t *testing.T) {
	// Servers may take in a size later than what is typed after it.
	const command = `stty size; while [ "$(stty size)" = "31 91" ]; do sleep 0.01; done; stty size`
	s, _ := open(t, sshclient.Request{Command: command, Terminal: &sshclient.Terminal{Term: "xterm", Columns: 91, Rows: 31}})
	line := make([]byte, len("31 91\r\n"))
	if _, err := io.ReadFull(s.Stdout, line); err != nil || string(line) != "31 91\r\n" {
		t.Fatalf("first size = %q, %v, want 31 91", line, err)
	}
	if err := s.Resize(100, 40); err != nil {
		t.Fatal(err)
	}
	out, _, _ := finish(t, s)
	if !strings.Contains(string(out), "40 100") {
		t.Errorf("after Resize(100, 40) the output is %q, want 40 100 in it", out)
	}
}

func TestUnwantedOutputEndsTheCommand(t *testing.T) {
	s, _ := open(t, sshclient.Request{Command: "yes"})
	if _, err := io.ReadFull(s.Stdout, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := s.StopReading(); err != nil {
		t.Fatal(err)
	}
	go s.Stdout.WriteTo(io.Discard)
	select {
	case <-s.Ended():
	case <-time.After(patience):
		t.Fatal("yes goes on although nobody reads")
	}
}

func TestInputThatNobodyReadsFails(t *testing.T) {
	s, _ := open(t, sshclient.Request{Command: "exec true"})
	block := make([]byte, 1<<20)
	for {
		if _, err := s.Write(block); err != nil {
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("Write to a command that ended = %v, want io.ErrClosedPipe", err)
			}
			return
		}
	}
}

func TestLostConnection(t *testing.T) {
	s, cut := open(t, sshclient.Request{Command: "echo ready; exec sleep 100"})
	if _, err := io.ReadFull(s.Stdout, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	cut()
	if _, err := s.Wait(); !errors.Is(err, sshclient.ErrLost) {
		t.Errorf("Wait after the cut = %v, want ErrLost", err)
	}
	if _, err := s.Stdout.Read(make([]byte, 1)); !errors.Is(err, sshclient.ErrLost) {
		t.Errorf("Read after the cut = %v, want ErrLost", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, sshclient.ErrLost) {
		t.Errorf("Write after the cut = %v, want ErrLost", err)
	}
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	client, server := pair(t)
	defer server.Close() // says nothing
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sshclient.Open(ctx, client, sshclient.Request{Command: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that ended = %v, want context.Canceled", err)
	}
}

// TestOtherServers runs against x/crypto's server, configured as agents of
// other makes and ages are.
func TestOtherServers(t *testing.T) {
	for name, cfg := range map[string]ssh.Config{
		"defaults":         {},
		"without hybrid":   {KeyExchanges: []string{"curve25519-sha256"}},
		"under first name": {KeyExchanges: []string{"curve25519-sha256@libssh.org"}},
		"wide cipher":      {Ciphers: []string{"aes256-gcm@openssh.com"}},
		"new keys often":   {RekeyThreshold: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			done := make(chan error, 1)
			go func() { done <- echo(server, cfg) }()
			s, err := sshclient.Open(t.Context(), client, sshclient.Request{Command: "echo"})
			if err != nil {
				t.Fatalf("Open = %v", err)
			}
			data := make([]byte, 1<<20)
			rand.Read(data)
			go func() {
				s.Write(data)
				s.CloseWrite()
			}()
			out, _, exit := finish(t, s)
			if !bytes.Equal(out, data) || exit.Status != 0 {
				t.Errorf("%d bytes came back of %d, or other ones; exit %+v", len(out), len(data), exit)
			}
			s.Close()
			if err := <-done; err != nil {
				t.Errorf("server: %v", err)
			}
		})
	}
}

// echo serves one session that sends back what it gets.
func echo(conn net.Conn, cfg ssh.Config) error {
	defer conn.Close()
	key, err := sshd.HostKey("test")
	if err != nil {
		return err
	}
	sc := &ssh.ServerConfig{Config: cfg, NoClientAuth: true}
	sc.AddHostKey(key)
	_, chans, reqs, err := ssh.NewServerConn(conn, sc)
	if err != nil {
		return err
	}
	go ssh.DiscardRequests(reqs)
	for nc := range chans {
		ch, requests, err := nc.Accept()
		if err != nil {
			return err
		}
		started := false
		for r := range requests {
			r.Reply(!started, nil)
			if started {
				continue
			}
			started = true
			go func() {
				io.Copy(ch, ch)
				ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
				ch.Close()
			}()
		}
	}
	return nil
}

func TestServersThatRefuse(t *testing.T) {
	serve := func(cfg *ssh.ServerConfig, session func(ssh.NewChannel)) error {
		client, server := pair(t)
		key, err := sshd.HostKey("test")
		if err != nil {
			t.Fatal(err)
		}
		cfg.AddHostKey(key)
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			_, chans, reqs, err := ssh.NewServerConn(server, cfg)
			if err != nil {
				return
			}
			go ssh.DiscardRequests(reqs)
			for nc := range chans {
				session(nc)
			}
		}()
		_, err = sshclient.Open(t.Context(), client, sshclient.Request{Command: "x"})
		<-done
		return err
	}
	password := func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errors.New("no") }
	for want, err := range map[string]error{
		"wants authentication": serve(&ssh.ServerConfig{PasswordCallback: password}, nil),
		"closed today":         serve(&ssh.ServerConfig{NoClientAuth: true}, func(nc ssh.NewChannel) { nc.Reject(ssh.Prohibited, "closed today") }),
		"refused to run": serve(&ssh.ServerConfig{NoClientAuth: true}, func(nc ssh.NewChannel) {
			ch, reqs, err := nc.Accept()
			if err != nil {
				return
			}
			for r := range reqs {
				r.Reply(false, nil)
			}
			ch.Close()
		}),
		"no common cipher": serve(&ssh.ServerConfig{NoClientAuth: true, Config: ssh.Config{Ciphers: []string{"aes128-ctr"}}}, nil),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want an error with %q", err, want)
		}
	}
}

// FuzzServerBytes feeds what a broken server may send: no panic, no hang.
func FuzzServerBytes(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n"))
	f.Add([]byte("hello\nSSH-2.0-x\n\x00\x00\x00\x0c\x0a\x14aaaaaaaaaaaaa"))
	f.Add([]byte("SSH-2.0-x\r\n\xff\xff\xff\xff"))
	f.Add([]byte("SSH-2.0-x\r\n\x00\x00\x00\x05\x04\x14aaaa"))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		here, there := net.Pipe()
		go io.Copy(io.Discard, there)
		go func() {
			there.Write(raw)
			there.Close()
		}()
		if s, err := sshclient.Open(t.Context(), here, sshclient.Request{Command: "x"}); err == nil {
			s.Close()
			t.Errorf("Open on %q = nil error, want one", fmt.Sprintf("%.80s", raw))
		}
	})
}

// gatedConn reads nothing while its gate is closed.
type gatedConn struct {
	net.Conn
	gate chan chan struct{} // holds what a closed gate waits for
}

func (c *gatedConn) Read(p []byte) (int, error) {
	open := <-c.gate
	c.gate <- open
	<-open
	return c.Conn.Read(p)
}

// TestServerThatDoesNotReadIsRead has a server ask something and go on to send while
// it reads nothing and our own bytes fill the way to it.
func TestServerThatDoesNotReadIsRead(t *testing.T) {
	client, raw := pair(t)
	for _, c := range []net.Conn{client, raw} {
		c.(*net.TCPConn).SetReadBuffer(128 << 10)
		c.(*net.TCPConn).SetWriteBuffer(16 << 10)
	}
	key, err := sshd.HostKey("test")
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	close(opened)
	server := &gatedConn{raw, make(chan chan struct{}, 1)}
	server.gate <- opened
	cfg := &ssh.ServerConfig{NoClientAuth: true}
	cfg.AddHostKey(key)
	channels := make(chan ssh.Channel, 1)
	conns := make(chan *ssh.ServerConn, 1)
	go func() {
		sc, chans, reqs, err := ssh.NewServerConn(server, cfg)
		if err != nil {
			close(channels)
			return
		}
		conns <- sc
		go ssh.DiscardRequests(reqs)
		ch, requests, err := (<-chans).Accept()
		if err != nil {
			close(channels)
			return
		}
		go func() {
			for r := range requests {
				r.Reply(true, nil)
			}
		}()
		channels <- ch
	}()
	s, err := sshclient.Open(t.Context(), client, sshclient.Request{Command: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ch, sc := <-channels, <-conns
	defer sc.Close()

	closed := make(chan struct{})
	<-server.gate
	server.gate <- closed
	defer close(closed)
	go s.Write(make([]byte, 4<<20)) // less than the window, more than is on the way
	sent := make(chan error, 1)
	go func() {
		var err error
		for range 96 {
			go sc.OpenChannel("nothing", nil) // its answer waits for the gate
			_, failed := ch.Write(make([]byte, 64<<10))
			err = errors.Join(err, failed)
		}
		sent <- err
	}()
	go s.Stdout.WriteTo(io.Discard)
	select {
	case err := <-sent:
		if err != nil {
			t.Errorf("Write of the server = %v", err)
		}
	case <-time.After(patience):
		t.Error("we do not read while our answers cannot be sent")
	}
}
