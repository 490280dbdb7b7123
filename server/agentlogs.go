package server

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

const (
	// maxAgentLog is how many bytes of output one agent may log (reference:
	// 1,048,576 over all its sources).
	maxAgentLog = 1 << 20
	// maxAgentLogs bounds the output of all agents together.
	maxAgentLogs = 64 << 20
	// lineCost is what a line takes in memory besides its output, in bytes:
	// empty lines count too.
	lineCost = 96
)

// agentLogs keeps what agents log, in memory: with the next start of the server
// it is gone. The zero value is ready.
type agentLogs struct {
	mu      sync.Mutex
	total   int // cost of all
	byAgent map[uuid.UUID]*agentLog
}

type agentLog struct {
	lines      []api.AgentLog
	cost       int
	length     int64 // bytes of output
	overflowed bool
}

// append adds a batch, or nothing of it when it does not fit: then, and ever
// after, it reports an overflow.
func (l *agentLogs) append(agent uuid.UUID, batch []api.AgentLog, now time.Time) (overflowed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.byAgent[agent]
	if a == nil {
		if l.byAgent == nil {
			l.byAgent = map[uuid.UUID]*agentLog{}
		}
		a = &agentLog{}
		l.byAgent[agent] = a
	}
	var length int64
	for _, line := range batch {
		length += int64(len(line.Output))
	}
	cost := int(length) + lineCost*len(batch)
	if a.overflowed = a.overflowed || a.cost+cost > maxAgentLog+lineCost*4096 || a.length+length > maxAgentLog || l.total+cost > maxAgentLogs; a.overflowed {
		return true
	}
	for _, line := range batch {
		line.ID, line.CreatedAt = int64(len(a.lines))+1, now
		a.lines = append(a.lines, line)
	}
	a.cost, a.length, l.total = a.cost+cost, a.length+length, l.total+cost
	return false
}

// after returns the lines with ids above id, never nil.
func (l *agentLogs) after(agent uuid.UUID, id int64) []api.AgentLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.byAgent[agent]
	if a == nil || id >= int64(len(a.lines)) {
		return []api.AgentLog{}
	}
	return slices.Clone(a.lines[max(id, 0):])
}

// state returns how many bytes an agent logged, and whether that was too much.
func (l *agentLogs) state(agent uuid.UUID) (length int64, overflowed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.byAgent[agent]; a != nil {
		return a.length, a.overflowed
	}
	return 0, false
}

// forget drops the log of an agent.
func (l *agentLogs) forget(agent uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.byAgent[agent]; a != nil {
		l.total -= a.cost
		delete(l.byAgent, agent)
	}
}
