//go:build linux

package sshd

import (
	"maps"
	"sync/atomic"
	"time"
)

// Limits bounds what clients may take; a zero field means its default.
type Limits struct {
	// Connections at once; 0 means 256. One more is closed at once.
	Connections int
	// Sessions at once on one connection; 0 means 128 (OpenSSH's default of 10
	// is too few for editors, which open one per task).
	Sessions int
	// Forwards is the number of forwarded connections at once on one
	// connection, both directions together; 0 means 1024.
	Forwards int
	// Listeners is the number of remote forwards on one connection; 0 means 64.
	Listeners int
	// EnvVars and EnvBytes bound what one session may set by env requests; 0
	// means 128 variables and 64 KiB. A variable over the limit is refused,
	// the session goes on.
	EnvVars, EnvBytes int
	// Handshake is how long a connection may take to become usable; 0 means
	// 30s, enough for a link that loses half of its packets.
	Handshake time.Duration
	// Dial is how long a forwarded connection may take to be made; 0 means 30s.
	Dial time.Duration
}

func (l Limits) withDefaults() Limits {
	orInt := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	orTime := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	orInt(&l.Connections, 256)
	orInt(&l.Sessions, 128)
	orInt(&l.Forwards, 1024)
	orInt(&l.Listeners, 64)
	orInt(&l.EnvVars, 128)
	orInt(&l.EnvBytes, 64<<10)
	orTime(&l.Handshake, 30*time.Second)
	orTime(&l.Dial, 30*time.Second)
	return l
}

// Counters is what a server has done since it was made.
type Counters struct {
	Connections        uint64 // handed to HandleConn and within the limit
	ConnectionsRefused uint64 // over Limits.Connections
	HandshakesFailed   uint64 // timed out, left early or spoke no SSH
	Sessions           uint64 // session channels opened
	SessionsRefused    uint64 // over Limits.Sessions
	Forwards           uint64 // connections forwarded, both directions
	ForwardsRefused    uint64 // over Limits.Forwards or Limits.Listeners
	EnvRefused         uint64 // variables over the limit or malformed
	Input              uint64 // times that something came into a session which is no editor's
	EditorBytes        uint64 // that came into sessions of editors and forwarded connections
	ActiveConnections  int    // now
	ActiveProcesses    int    // now, those that outlived their connection included

	// ActiveSessions counts the sessions that have a program now, by their
	// type (see Event). It never holds a zero.
	ActiveSessions map[string]int
}

type counters struct {
	connections, connectionsRefused, handshakesFailed atomic.Uint64
	sessions, sessionsRefused                         atomic.Uint64
	forwards, forwardsRefused, envRefused             atomic.Uint64
	input, editorBytes                                atomic.Uint64
}

// came counts n bytes from a client into something of that kind. Those of an
// editor say little by themselves: it talks all the time.
func (c *counters) came(kind string, n int) {
	if kind == defaultType {
		c.input.Add(1)
	} else {
		c.editorBytes.Add(uint64(n))
	}
}

// Counters returns a snapshot of what the server has done.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	conns, processes, types := len(s.conns), len(s.processes), maps.Clone(s.types)
	s.mu.Unlock()
	c := &s.counters
	return Counters{
		Connections:        c.connections.Load(),
		ConnectionsRefused: c.connectionsRefused.Load(),
		HandshakesFailed:   c.handshakesFailed.Load(),
		Sessions:           c.sessions.Load(),
		SessionsRefused:    c.sessionsRefused.Load(),
		Forwards:           c.forwards.Load(),
		ForwardsRefused:    c.forwardsRefused.Load(),
		EnvRefused:         c.envRefused.Load(),
		Input:              c.input.Load(),
		EditorBytes:        c.editorBytes.Load(),
		ActiveConnections:  conns,
		ActiveProcesses:    processes,
		ActiveSessions:     types,
	}
}

// countType adds delta to the sessions of a type.
func (s *Server) countType(kind string, delta int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.types[kind] += delta
	if s.types[kind] == 0 {
		delete(s.types, kind)
	}
}

// slots counts what is in use of a bounded number of things.
type slots struct {
	used atomic.Int64
	most int64
}

func (s *slots) take() bool {
	if s.used.Add(1) > s.most {
		s.used.Add(-1)
		return false
	}
	return true
}

func (s *slots) release() { s.used.Add(-1) }
