//go:build linux

package sshd

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
)

// EventKind says what an Event is about.
type EventKind string

// Kinds of events. A connection is opened when its handshake has succeeded; a
// session is started when it has a shell, a command or SFTP.
const (
	ConnectionOpened EventKind = "connection_opened"
	ConnectionClosed EventKind = "connection_closed"
	SessionStarted   EventKind = "session_started"
	SessionEnded     EventKind = "session_ended"
)

// Event is something that happened to a connection or a session, in a form
// that survives JSON.
type Event struct {
	Kind       EventKind `json:"kind"`
	Connection string    `json:"connection"`        // random UUID
	Session    string    `json:"session,omitempty"` // random UUID, for sessions
	// Type is what kind of program a session serves, by its own word: "ssh",
	// "vscode", "jetbrains" or the name of any app in lower case.
	Type   string `json:"type,omitempty"`
	Remote string `json:"remote"` // address of the client, "" if its net.Conn has none

	Started time.Time `json:"started"` // of the connection or session
	Time    time.Time `json:"time"`    // of the event

	// ExitCode is what the client's ssh exits with when a session has ended:
	// 255 if a signal, which Signal names then, or the client ended it.
	ExitCode int    `json:"exit_code"`
	Signal   string `json:"signal,omitempty"`
	// Reason says in words why something ended, unless the program ended by
	// itself.
	Reason string `json:"reason,omitempty"`
}

func (s *Server) report(e Event) {
	if s.cfg.Report != nil {
		s.cfg.Report(e)
	}
}

// event returns one about the connection.
func (c *connection) event(kind EventKind) Event {
	e := Event{Kind: kind, Connection: c.id, Started: c.started, Time: time.Now()}
	if addr := c.ssh.RemoteAddr(); addr != nil {
		e.Remote = addr.String()
	}
	return e
}

// closed reports the end of the connection, for the reason that we had for it
// or else that the client gave.
func (c *connection) closed(err error) {
	e := c.event(ConnectionClosed)
	switch why := c.why.Load(); {
	case why != nil:
		e.Reason = *why
	case c.srv.isClosed():
		e.Reason = reasonClosing
	case err == nil, errors.Is(err, io.EOF):
		e.Reason = "the client hung up"
	default:
		e.Reason = clip(strings.TrimPrefix(err.Error(), "ssh: "))
	}
	c.srv.report(e)
}

const reasonClosing = "the server is closing"

// begin counts and reports the session as one of its type.
func (s *session) begin() {
	s.id, s.began, s.kind = uuid.NewString(), time.Now(), sessionType(s.env)
	s.conn.srv.countType(s.kind, 1)
	s.conn.srv.report(s.event(SessionStarted))
}

// over reports the end of the session once; later calls do nothing, and
// neither does one for a session that never began.
func (s *session) over(code int, signal, reason string) {
	if s.id == "" {
		return
	}
	s.once.Do(func() {
		e := s.event(SessionEnded)
		e.ExitCode, e.Signal, e.Reason = code, signal, reason
		s.conn.srv.countType(s.kind, -1)
		s.conn.srv.report(e)
	})
}

func (s *session) event(kind EventKind) Event {
	e := s.conn.event(kind)
	e.Session, e.Type, e.Started = s.id, s.kind, s.began
	return e
}

// Variables by which clients talk to the agent, not to programs.
const (
	typeVariable      = "CODER_SSH_SESSION_TYPE"
	containerVariable = "CODER_CONTAINER"
)

// maxType is longer than the name of any app.
const maxType = 64

// defaultType is what a session is that does not say.
const defaultType = "ssh"

// sessionType returns what the client says that it is; the last word counts.
// Text that is no name counts as none, as it ends in metrics and logs.
func sessionType(client []string) string {
	kind := strings.ToLower(lastOf(client, typeVariable))
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	if kind == "" || len(kind) > maxType || strings.TrimLeftFunc(kind, plain) != "" {
		return defaultType
	}
	return kind
}

// lastOf returns the value of the last entry for name, "" if there is none.
func lastOf(env []string, name string) (value string) {
	for _, entry := range env {
		if key, v, _ := strings.Cut(entry, "="); key == name {
			value = v
		}
	}
	return value
}
