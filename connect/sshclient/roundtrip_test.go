package sshclient

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// halfTrip is how long a byte travels over the slow link.
const halfTrip = 25 * time.Millisecond

// slowLink returns the two ends of a link on which every byte arrives halfTrip
// after it was written.
func slowLink() (a, b net.Conn) {
	there, back := newLane(), newLane()
	return &slowEnd{in: back, out: there}, &slowEnd{in: there, out: back}
}

type slowEnd struct {
	net.Conn // the methods that nobody calls
	in, out  *lane
	rest     []byte
}

func (e *slowEnd) Write(p []byte) (int, error) { return e.out.put(p) }

func (e *slowEnd) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		var err error
		if e.rest, err = e.in.get(); err != nil {
			return 0, err
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func (e *slowEnd) Close() error                     { e.out.close(); e.in.close(); return nil }
func (e *slowEnd) SetDeadline(time.Time) error      { return nil }
func (e *slowEnd) SetWriteDeadline(time.Time) error { return nil }
func (e *slowEnd) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (e *slowEnd) LocalAddr() net.Addr              { return &net.TCPAddr{} }

type parcel struct {
	due  time.Time
	data []byte
}

type lane struct {
	parcels chan parcel
	done    chan struct{}
	once    sync.Once
}

func newLane() *lane { return &lane{parcels: make(chan parcel, 1000), done: make(chan struct{})} }

func (l *lane) close() { l.once.Do(func() { close(l.done) }) }

func (l *lane) put(p []byte) (int, error) {
	select {
	case <-l.done:
		return 0, os.ErrClosed
	case l.parcels <- parcel{time.Now().Add(halfTrip), append([]byte(nil), p...)}:
		return len(p), nil
	}
}

func (l *lane) get() ([]byte, error) {
	select {
	case <-l.done:
		return nil, io.EOF
	case p := <-l.parcels:
		select {
		case <-time.After(time.Until(p.due)):
			return p.data, nil
		case <-l.done:
			return nil, io.EOF
		}
	}
}

// answer is a server for one session that says "hello" and ends with status 3.
func answer(conn net.Conn, key any, patience time.Duration) {
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		panic(err)
	}
	cfg := &ssh.ServerConfig{NoClientAuth: true}
	cfg.AddHostKey(signer)
	_, chans, reqs, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	go func() {
		for r := range reqs {
			r.Reply(true, nil)
		}
	}()
	for nc := range chans {
		<-time.After(patience)
		ch, requests, err := nc.Accept()
		if err != nil {
			return
		}
		started := false
		for r := range requests {
			ok := !started && (r.Type == "exec" || r.Type == "shell")
			r.Reply(ok || r.Type == "env" || r.Type == "auth-agent-req@openssh.com", nil)
			if ok {
				started = true
				io.WriteString(ch, "hello")
				ch.SendRequest("exit-status", false, ssh.Marshal(exitStatus{3}))
				ch.Close()
			}
		}
	}
}

func nobody(context.Context) (net.Conn, error) { return nil, os.ErrClosed }

func TestRoundTrips(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key    any
		req    Request
		accept time.Duration // how long the server takes to accept a channel
		want   int
		atMost time.Duration // beyond want
	}{
		"command":                   {ed, Request{Command: "x"}, 0, 2, optimism},
		"command, server hesitates": {ed, Request{Command: "x"}, 10 * time.Millisecond, 3, 10 * time.Millisecond},
		"command with environment":  {ed, Request{Command: "x", Env: []string{"A=1"}}, 0, 3, 0},
		"shell":                     {ed, Request{}, 0, 3, 0},
		"forwards and agent":        {ed, Request{Command: "x", Agent: nobody, Forwards: []Forward{{Port: 80, Dial: nobody}}}, 0, 3, 0},
		"wrong guess":               {rsaKey, Request{Command: "x"}, 0, 3, optimism},
		"another guess":             {rsaKey, Request{Command: "x", HostKeyAlgo: ssh.KeyAlgoRSASHA256}, 0, 2, optimism},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				here, there := slowLink()
				go answer(there, c.key, c.accept)
				start := time.Now()
				s, err := Open(t.Context(), here, c.req)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				out, err := io.ReadAll(s.Stdout)
				if err != nil || string(out) != "hello" {
					t.Errorf("output = %q, %v, want hello", out, err)
				}
				took := time.Since(start)
				if low := time.Duration(c.want) * 2 * halfTrip; took < low || took > low+c.atMost {
					t.Errorf("took %v, want %d round trips of %v (%v)", took, c.want, 2*halfTrip, low)
				}
				if exit, err := s.Wait(); err != nil || exit.Status != 3 {
					t.Errorf("Wait = %+v, %v, want status 3", exit, err)
				}
			})
		})
	}
}
