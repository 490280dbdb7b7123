package server

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

var (
	// errReplaced ends the session of an agent when its token is used again.
	errReplaced = errors.New(api.ReasonAgentReplaced + " with the same token")
	// errSuperseded ends the session of an agent whose workspace got another
	// build, or is no more.
	errSuperseded = errors.New("the workspace has a newer build")
)

// agentSessions are the agents that are connected: one session each, the
// newest. The zero value is ready.
type agentSessions struct {
	mu      sync.Mutex
	byAgent map[uuid.UUID]*agentSession
}

type agentSession struct {
	agent uuid.UUID
	end   context.CancelCauseFunc
}

// join makes a session that of its agent and ends the one before.
func (s *agentSessions) join(agent uuid.UUID, end context.CancelCauseFunc) *agentSession {
	next := &agentSession{agent: agent, end: end}
	s.mu.Lock()
	before := s.byAgent[agent]
	if s.byAgent == nil {
		s.byAgent = map[uuid.UUID]*agentSession{}
	}
	s.byAgent[agent] = next
	s.mu.Unlock()
	if before != nil {
		before.end(errReplaced)
	}
	return next
}

// leave forgets a session unless another has taken its place.
func (s *agentSessions) leave(old *agentSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byAgent[old.agent] == old {
		delete(s.byAgent, old.agent)
	}
}

// connected reports whether an agent has a session.
func (s *agentSessions) connected(agent uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byAgent[agent] != nil
}
