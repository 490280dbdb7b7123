package store

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Agent is a row of agents.
type Agent struct {
	ID          uuid.UUID `bun:",pk"`
	ResourceID  uuid.UUID
	TokenHash   []byte // SHA-256 of the token's text
	TokenSealed []byte // see AgentToken
	CreatedAt   time.Time
	UpdatedAt   time.Time
	AgentSpec
	AgentState

	Resource *Resource `bun:"rel:belongs-to,join:resource_id=id"` // never set outside this package
}

// AgentSpec is what the template says about an agent.
type AgentSpec struct {
	Name            string
	OperatingSystem string
	Architecture    string
	Directory       string
	Environment     map[string]string
	External        bool // started by the user, who is shown the token

	ConnectionTimeoutSeconds int64 // 0: none
	TroubleshootingURL       string
	Config                   AgentConfig `bun:"type:text"`
}

// AgentState is what the server and the agent itself have said about it.
type AgentState struct {
	FirstConnectedAt time.Time `bun:",nullzero"`
	LastConnectedAt  time.Time `bun:",nullzero"` // when the newest connection began
	DisconnectedAt   time.Time `bun:",nullzero"` // when it ended; none while it lasts
	StartedAt        time.Time `bun:",nullzero"`
	ReadyAt          time.Time `bun:",nullzero"`

	LifecycleState    Lifecycle
	Version           string
	APIVersion        string
	ExpandedDirectory string
	Subsystems        []string

	LastLogID      int64 // of the newest line
	LogsBytes      int64 // what the lines take
	LogsOverflowed bool  // lines that did not fit were refused
}

// NewAgent is what a build says about an agent.
type NewAgent struct {
	ID    uuid.UUID // zero makes one
	Token Secret    // a UUID in text; not used for an agent that is kept
	AgentSpec
}

func (s *Store) newAgent(resource uuid.UUID, n NewAgent) (Agent, error) {
	if n.Token.IsZero() {
		return Agent{}, fmt.Errorf("agent %s has no token", n.Name)
	}
	if n.ID == uuid.Nil {
		n.ID = uuid.New()
	}
	n.Config = n.Config.identified(n.ID)
	a := Agent{
		ID: n.ID, ResourceID: resource, TokenHash: n.Token.Hash(), AgentSpec: n.AgentSpec,
		AgentState: AgentState{LifecycleState: LifecycleCreated, Subsystems: []string{}},
		CreatedAt:  now(), UpdatedAt: now(),
	}
	if n.External {
		a.TokenSealed = s.seal(a.ID, n.Token)
	}
	return a, nil
}

// AgentDetail is an agent with what it belongs to.
type AgentDetail struct {
	Agent     Agent
	Build     Build     // with its Job; the latest that has the agent
	Workspace Workspace // without its pointers
	Owner     User
}

// Live reports whether the agent may act for its workspace: it belongs to the
// latest build, which is a start that succeeded, of a workspace that is not
// deleted and whose owner is not suspended or deleted.
func (d *AgentDetail) Live() bool {
	return d.Workspace.LatestBuildID == d.Build.ID && d.Workspace.DeletedAt.IsZero() &&
		d.Build.Transition == TransitionStart && d.Build.Job.Status == JobSucceeded &&
		d.Owner.DeletedAt.IsZero() && d.Owner.Status != UserSuspended
}

// Errors of AgentByTokenHash for a token that was good once. Both are an
// ErrNotFound.
var (
	// ErrAgentInactive: the workspace is not running, or its owner is
	// suspended. The token may become good again.
	ErrAgentInactive = fmt.Errorf("agent of a workspace that is not running: %w", ErrNotFound)

	// ErrAgentDead: the workspace was deleted or rebuilt with other agents.
	// The token can never become good again.
	ErrAgentDead = fmt.Errorf("agent of a deleted or rebuilt workspace: %w", ErrNotFound)
)

// AgentByTokenHash returns the live agent whose token has this hash. Errors:
// ErrAgentInactive, ErrAgentDead, or plain ErrNotFound for an unknown token,
// which may only be early: a machine can come up before the build that made it
// is written down.
func (s *Store) AgentByTokenHash(ctx context.Context, hash []byte) (AgentDetail, error) {
	d, err := s.agent(ctx, "agent.token_hash = ?", hash)
	if err != nil {
		return AgentDetail{}, err
	}
	if subtle.ConstantTimeCompare(d.Agent.TokenHash, hash) != 1 {
		return AgentDetail{}, ErrNotFound
	}
	if d.Live() {
		return d, nil
	}
	w, err := s.WorkspaceByID(ctx, d.Workspace.ID)
	if err != nil {
		return AgentDetail{}, err
	}
	rebuilt := w.LatestBuildID != d.Build.ID && w.LatestBuild.Status() == StatusRunning
	if rebuilt || !w.DeletedAt.IsZero() {
		return AgentDetail{}, ErrAgentDead
	}
	return AgentDetail{}, ErrAgentInactive
}

// AgentByID returns an agent, live or not, or ErrNotFound.
func (s *Store) AgentByID(ctx context.Context, id uuid.UUID) (AgentDetail, error) {
	return s.agent(ctx, "agent.id = ?", id)
}

// AgentByName returns the agent of that name, in any case, in the latest build
// of a workspace, or ErrNotFound.
func (s *Store) AgentByName(ctx context.Context, workspace uuid.UUID, name string) (AgentDetail, error) {
	return s.agent(ctx, "resource__build__workspace.id = ? AND resource__build__workspace.latest_build_id = resource__build.id AND lower(agent.name) = lower(?)",
		workspace, plain(name))
}

func (s *Store) agent(ctx context.Context, where string, args ...any) (AgentDetail, error) {
	var a Agent
	err := agentQuery(s.read, &a).Where(where, args...).Limit(1).Scan(ctx)
	if err != nil {
		return AgentDetail{}, translate(err)
	}
	return a.detail(), nil
}

func agentQuery(db bun.IDB, model any) *bun.SelectQuery {
	return db.NewSelect().Model(model).Relation("Resource").Relation("Resource.Build").Relation("Resource.Build.Job").
		Relation("Resource.Build.Workspace").Relation("Resource.Build.Workspace.Owner")
}

// detail turns the chain of pointers that bun reads into values.
func (a Agent) detail() AgentDetail {
	build := *a.Resource.Build
	w := *build.Workspace
	d := AgentDetail{Owner: *w.Owner}
	a.Resource, build.Workspace, w.Owner = nil, nil, nil
	d.Agent, d.Build, d.Workspace = a, build, w
	return d
}
