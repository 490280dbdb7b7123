//go:build linux

package sshd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// reports is a Config whose events are in the channel, which never fills here.
func reports() (Config, chan Event) {
	events := make(chan Event, 1000)
	return Config{Report: func(e Event) { events <- e }}, events
}

func next(t *testing.T, events chan Event, kind EventKind) Event {
	t.Helper()
	select {
	case e := <-events:
		if e.Kind != kind {
			t.Fatalf("event = %+v, want %s", e, kind)
		}
		return e
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, kind)
		return Event{}
	}
}

func TestEvents(t *testing.T) {
	cfg, events := reports()
	l := newLab(t, cfg)
	client := l.dial(t)
	opened := next(t, events, ConnectionOpened)
	for _, tt := range []struct {
		command, signal string
		code            int
	}{{"exit 7", "", 7}, {"kill -TERM $$", "TERM", 255}, {"true", "", 0}} {
		s := newSession(t, client)
		if err := s.Setenv(typeVariable, "VSCode"); err != nil {
			t.Fatal(err)
		}
		_ = s.Run(tt.command)
		started, ended := next(t, events, SessionStarted), next(t, events, SessionEnded)
		if started.Type != "vscode" || started.Connection != opened.Connection || started.Remote != client.LocalAddr().String() {
			t.Errorf("started = %+v, want vscode on %s from %s", started, opened.Connection, client.LocalAddr())
		}
		if ended.Session != started.Session || ended.ExitCode != tt.code || ended.Signal != tt.signal || ended.Reason != "" {
			t.Errorf("%s: ended = %+v, want code %d, signal %q", tt.command, ended, tt.code, tt.signal)
		}
		if !ended.Started.Equal(started.Started) || ended.Time.Before(ended.Started) {
			t.Errorf("%s: ended = %+v, want the start of %+v and a later time", tt.command, ended, started)
		}
	}
	_ = client.Close()
	if e := next(t, events, ConnectionClosed); e.Connection != opened.Connection || e.Reason == "" {
		t.Errorf("closed = %+v, want a reason", e)
	}
}

func TestSessionThatLosesItsClientEnds(t *testing.T) {
	cfg, events := reports()
	l := newLab(t, cfg)
	client := l.dial(t)
	start(t, newSession(t, client), "echo ready; exec sleep 100")
	next(t, events, ConnectionOpened)
	next(t, events, SessionStarted)
	if got, want := l.srv.Counters().ActiveSessions, map[string]int{"ssh": 1}; !maps.Equal(got, want) {
		t.Errorf("ActiveSessions = %v, want %v", got, want)
	}
	_ = client.Close()
	if e := next(t, events, SessionEnded); e.ExitCode != 255 || e.Reason != "the client left" {
		t.Errorf("ended = %+v, want 255 because the client left", e)
	}
	next(t, events, ConnectionClosed)
	if c := l.srv.Counters(); len(c.ActiveSessions) != 0 || c.ActiveProcesses != 1 {
		t.Errorf("counters = %+v, want no session and the process that is left", c)
	}
}

func TestEventsSurviveJSON(t *testing.T) {
	want := Event{
		Kind: SessionEnded, Connection: "c", Session: "s", Type: "ssh", Remote: "[::1]:1",
		Started: time.Unix(1, 2).UTC(), Time: time.Unix(3, 4).UTC(), ExitCode: 255, Signal: "KILL", Reason: "why",
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Event
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Unmarshal(%s) = %+v, %v, want %+v", text, got, err, want)
	}
}

func TestSessionType(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		want string
	}{
		{nil, "ssh"},
		{[]string{"CODER_SSH_SESSION_TYPE=vscode", "CODER_SSH_SESSION_TYPE=JetBrains"}, "jetbrains"},
		{[]string{"CODER_SSH_SESSION_TYPE=my-app_1.2", "X=y"}, "my-app_1.2"},
		{[]string{"CODER_SSH_SESSION_TYPE=a b"}, "ssh"},
		{[]string{"CODER_SSH_SESSION_TYPE=<script>"}, "ssh"},
		{[]string{"CODER_SSH_SESSION_TYPE=" + strings.Repeat("x", 65)}, "ssh"},
	} {
		if got := sessionType(tt.env); got != tt.want {
			t.Errorf("sessionType(%.60q) = %q, want %q", tt.env, got, tt.want)
		}
	}
}

func TestContainersAreRefused(t *testing.T) {
	s := newLab(t, Config{}).session(t)
	if err := s.Setenv(containerVariable, "box"); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	s.Stderr = &text
	var exit *ssh.ExitError
	if err := s.Run("true"); !errors.As(err, &exit) || exit.ExitStatus() != exitInternal || !strings.Contains(text.String(), "dev containers") {
		t.Errorf("Run = %v, %q, want %d and why", err, text.String(), exitInternal)
	}
}

// queuedConn is a net.Conn whose writes do not wait for the reader, as SSH
// needs it, where both sides speak first.
type queuedConn struct {
	net.Conn
	queue chan []byte
	ended chan struct{}
	once  sync.Once
}

func queued(conn net.Conn) *queuedConn {
	c := &queuedConn{Conn: conn, queue: make(chan []byte, 100), ended: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-c.queue:
				_, _ = c.Conn.Write(p)
			case <-c.ended:
				return
			}
		}
	}()
	return c
}

func (c *queuedConn) Write(p []byte) (int, error) {
	select {
	case c.queue <- bytes.Clone(p):
		return len(p), nil
	case <-c.ended:
		return 0, net.ErrClosed
	}
}

func (c *queuedConn) Close() error {
	c.once.Do(func() { close(c.ended) })
	return c.Conn.Close()
}

// pipeClient connects to srv through memory, so that time can be virtual.
func pipeClient(t *testing.T, srv *Server) (ssh.Conn, <-chan ssh.NewChannel, <-chan *ssh.Request) {
	t.Helper()
	near, far := net.Pipe()
	go srv.HandleConn(context.Background(), queued(far))
	conn, chans, reqs, err := ssh.NewClientConn(queued(near), "", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	return conn, chans, reqs
}

func newServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	key, err := HostKey("test")
	if err != nil {
		t.Fatal(err)
	}
	return New(key, cfg)
}

func TestSilentClientIsClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		timeout time.Duration
		answers bool
		want    string
		after   time.Duration
	}{
		"silent":   {timeout: time.Hour, want: "the client gives no sign of life", after: time.Hour},
		"alive":    {timeout: time.Hour, answers: true, want: "the client hung up", after: 10 * time.Hour},
		"too soon": {timeout: 2 * time.Second, answers: true, want: "longest time of a connection reached", after: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, events := reports()
				cfg.MaxTimeout = tt.timeout
				conn, _, reqs := pipeClient(t, newServer(t, cfg))
				began := time.Now()
				if tt.answers {
					go ssh.DiscardRequests(reqs)
				}
				go func() { // the user goes at some time
					time.Sleep(10 * time.Hour)
					_ = conn.Close()
				}()
				_ = conn.Wait()
				if got := time.Since(began); got != tt.after {
					t.Errorf("the connection ended after %v, want %v", got, tt.after)
				}
				next(t, events, ConnectionOpened)
				if got := next(t, events, ConnectionClosed).Reason; got != tt.want {
					t.Errorf("reason = %q, want %q", got, tt.want)
				}
				time.Sleep(10 * time.Hour)
			})
		})
	}
}
