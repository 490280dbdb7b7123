package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Lifecycle is how far an agent is with its scripts, in its own words.
type Lifecycle string

const (
	LifecycleCreated         Lifecycle = "created"
	LifecycleStarting        Lifecycle = "starting"
	LifecycleStartTimeout    Lifecycle = "start_timeout"
	LifecycleStartError      Lifecycle = "start_error"
	LifecycleReady           Lifecycle = "ready"
	LifecycleShuttingDown    Lifecycle = "shutting_down"
	LifecycleShutdownTimeout Lifecycle = "shutdown_timeout"
	LifecycleShutdownError   Lifecycle = "shutdown_error"
	LifecycleOff             Lifecycle = "off"
)

// Connections are written down when they begin and end, never in between: an
// idle deployment writes nothing. Who needs to know whether an agent is there
// right now asks the server that holds its connection; a row whose server was
// killed says "connected" until DisconnectAgents.

// AgentConnected writes down a connection that began at the given time, in
// place of any before. ErrNotFound for an unknown agent.
func (s *Store) AgentConnected(ctx context.Context, id uuid.UUID, began time.Time, apiVersion string) error {
	began = at(began)
	return s.setAgent(ctx, id, "first_connected_at = COALESCE(first_connected_at, ?), last_connected_at = ?, disconnected_at = NULL, api_version = ?",
		began, began, plain(apiVersion))
}

// AgentDisconnected writes down that the connection that began then has ended.
// It reports false, and writes nothing, when a newer connection has taken its
// place or the agent is gone.
func (s *Store) AgentDisconnected(ctx context.Context, id uuid.UUID, began, ended time.Time) (bool, error) {
	q := s.write.NewUpdate().Model((*Agent)(nil)).Set("disconnected_at = ?, updated_at = ?", at(ended), now())
	return changeAny(ctx, q.Where("id = ? AND last_connected_at = ? AND disconnected_at IS NULL", id, at(began)))
}

// DisconnectAgents ends all connections that are written down as lasting, and
// returns how many. Only for a server that is alone with its database, before
// it takes connections: the one that held them is gone.
func (s *Store) DisconnectAgents(ctx context.Context, ended time.Time) (int, error) {
	q := s.write.NewUpdate().Model((*Agent)(nil)).Set("disconnected_at = ?, updated_at = ?", at(ended), now())
	res, err := q.Where("last_connected_at IS NOT NULL AND disconnected_at IS NULL").Exec(ctx)
	if err != nil {
		return 0, translate(err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// SetAgentLifecycle writes down what the agent reports. Starting sets when it
// started and that it is not ready; the three ends of starting set when it was
// ready. ErrNotFound for an unknown agent, *InvalidError for an unknown state.
func (s *Store) SetAgentLifecycle(ctx context.Context, id uuid.UUID, state Lifecycle, changed time.Time) error {
	changed = at(changed)
	switch state {
	case LifecycleStarting:
		return s.setAgent(ctx, id, "lifecycle_state = ?, started_at = ?, ready_at = NULL", state, changed)
	case LifecycleReady, LifecycleStartTimeout, LifecycleStartError:
		return s.setAgent(ctx, id, "lifecycle_state = ?, started_at = COALESCE(started_at, ?), ready_at = ?", state, changed, changed)
	case LifecycleCreated, LifecycleShuttingDown, LifecycleShutdownTimeout, LifecycleShutdownError, LifecycleOff:
		return s.setAgent(ctx, id, "lifecycle_state = ?", state)
	}
	return &InvalidError{Field: "state", Detail: "unknown lifecycle state"}
}

// AgentStartup is what an agent says about itself when it has connected.
type AgentStartup struct {
	Version           string
	ExpandedDirectory string
	Subsystems        []string
}

// SetAgentStartup writes it down; ErrNotFound for an unknown agent.
func (s *Store) SetAgentStartup(ctx context.Context, id uuid.UUID, up AgentStartup) error {
	if up.Subsystems == nil {
		up.Subsystems = []string{}
	}
	return s.setAgent(ctx, id, "version = ?, expanded_directory = ?, subsystems = ?",
		plain(up.Version), plain(up.ExpandedDirectory), up.Subsystems)
}

func (s *Store) setAgent(ctx context.Context, id uuid.UUID, set string, args ...any) error {
	q := s.write.NewUpdate().Model((*Agent)(nil))
	return changeOne(ctx, q.Set(set, args...).Set("updated_at = ?", now()).Where("id = ?", id))
}
