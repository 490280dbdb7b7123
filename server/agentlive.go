package server

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

const (
	// maxValue is where a value of metadata is cut, in bytes, and maxValues what
	// those of one agent may take together (reference: agent §5).
	maxValue  = 2048
	maxValues = 6144
)

// agentLive is what agents say of their workspaces from moment to moment: it is
// in memory only, because it is old as soon as it is written. The zero value is
// ready.
type agentLive struct {
	mu     sync.Mutex
	agents map[uuid.UUID]*liveAgent
}

type liveAgent struct {
	metadata map[string]api.MetadataResult
	health   map[uuid.UUID]string     // of apps
	full     map[string]bool          // memory and paths of volumes
	status   map[string]api.AppStatus // of apps, by slug
}

func (l *agentLive) ofLocked(agent uuid.UUID) *liveAgent {
	a := l.agents[agent]
	if a == nil {
		if l.agents == nil {
			l.agents = map[uuid.UUID]*liveAgent{}
		}
		a = &liveAgent{metadata: map[string]api.MetadataResult{}, health: map[uuid.UUID]string{}, full: map[string]bool{}, status: map[string]api.AppStatus{}}
		l.agents[agent] = a
	}
	return a
}

// setMetadata takes a value. It reports false when the values of the agent are
// too much together: this one is not kept then.
func (l *agentLive) setMetadata(agent uuid.UUID, key string, r api.MetadataResult) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.ofLocked(agent)
	if len(r.Value) > maxValue {
		r.Value, r.Error = printable(r.Value, maxValue), "the value is longer than 2048 bytes"
	}
	r.Error = printable(r.Error, maxValue)
	size := len(r.Value) + len(r.Error)
	for other, now := range a.metadata {
		if other != key {
			size += len(now.Value) + len(now.Error)
		}
	}
	if size > maxValues {
		return false
	}
	a.metadata[key] = r
	return true
}

// metadata is what an agent said last of each key of its template.
func (l *agentLive) metadata(a store.Agent) []api.Metadata {
	l.mu.Lock()
	values := maps.Clone(l.ofLocked(a.ID).metadata)
	l.mu.Unlock()
	list := []api.Metadata{}
	for _, m := range a.Config.Metadata {
		r := values[m.Key]
		if !r.CollectedAt.IsZero() {
			r.Age = int64(time.Since(r.CollectedAt) / time.Second)
		}
		list = append(list, api.Metadata{Result: r, Description: api.MetadataDescription{
			DisplayName: m.Name, Key: m.Key, Script: m.Script, Interval: int64(m.Interval / time.Second), Timeout: int64(m.Timeout / time.Second),
		}})
	}
	return list
}

// setHealth takes how an app is.
func (l *agentLive) setHealth(agent, app uuid.UUID, health string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ofLocked(agent).health[app] = health
}

// appHealth is how an app was last.
func (l *agentLive) appHealth(agent uuid.UUID, app store.AgentApp) string {
	if app.HealthURL == "" {
		return "disabled"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if health := l.ofLocked(agent).health[app.ID]; health != "" {
		return health
	}
	return "initializing"
}

// setStatus takes what an app says of itself.
func (l *agentLive) setStatus(agent uuid.UUID, slug string, status api.AppStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ofLocked(agent).status[slug] = status
}

// statuses are what the apps of an agent said last, by their slugs.
func (l *agentLive) statuses(agent uuid.UUID) map[string]api.AppStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.agents[agent]; a != nil {
		return maps.Clone(a.status)
	}
	return nil
}

// setFull takes whether something of an agent is fuller than it should be, and
// reports whether that is news.
func (l *agentLive) setFull(agent uuid.UUID, what string, full bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.ofLocked(agent)
	news := a.full[what] != full
	a.full[what] = full
	return news
}

// fullOf is what is fuller than it should be, in order.
func (l *agentLive) fullOf(agent uuid.UUID) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.agents[agent]
	if a == nil {
		return nil
	}
	for _, what := range slices.Sorted(maps.Keys(a.full)) {
		if a.full[what] {
			list = append(list, what)
		}
	}
	return list
}

// forget drops what an agent said.
func (l *agentLive) forget(agent uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.agents, agent)
}
