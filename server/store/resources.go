package store

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// Resource is a row of resources: something a build made.
type Resource struct {
	ID         uuid.UUID `bun:",pk"`
	JobID      uuid.UUID
	Transition Transition
	Type       string
	Name       string
	Icon       string
	Hide       bool
	DailyCost  int64
	CreatedAt  time.Time

	Agents []*Agent `bun:"rel:has-many,join:id=resource_id"`
	Build  *Build   `bun:"rel:belongs-to,join:job_id=job_id"` // never set outside this package
}

// NewResource is what a build says about a resource.
type NewResource struct {
	Type      string
	Name      string
	Icon      string
	Hide      bool
	DailyCost int64
	Agents    []NewAgent
}

func (s *Store) addResources(ctx context.Context, tx bun.Tx, b Build, r BuildResult) error {
	var old []Agent
	if r.KeepAgents {
		if err := tx.NewSelect().Model(&old).Where("id IN (?)", agentsOf(tx, b.WorkspaceID)).Scan(ctx); err != nil {
			return err
		}
	}
	for _, n := range r.Resources {
		res := Resource{
			ID: uuid.New(), JobID: b.JobID, Transition: b.Transition, Type: n.Type, Name: n.Name,
			Icon: n.Icon, Hide: n.Hide, DailyCost: n.DailyCost, CreatedAt: now(),
		}
		if _, err := tx.NewInsert().Model(&res).Exec(ctx); err != nil {
			return err
		}
		if err := s.addAgents(ctx, tx, res.ID, n.Agents, old); err != nil {
			return err
		}
	}
	return nil
}

// addAgents gives a resource its agents; those in old of the same name move to
// it, the others are made.
func (s *Store) addAgents(ctx context.Context, tx bun.Tx, resource uuid.UUID, list []NewAgent, old []Agent) error {
	for _, n := range list {
		if err := CheckAgentName(n.Name); err != nil {
			return err
		}
		if n.Environment == nil {
			n.Environment = map[string]string{}
		}
		if kept := findAgent(old, n.Name); kept != nil {
			if err := moveAgent(ctx, tx, *kept, resource, n.AgentSpec); err != nil {
				return err
			}
			continue
		}
		a, err := s.newAgent(resource, n)
		if err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&a).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// moveAgent writes no column of AgentState but those of the log, which begins
// anew: the agent may report meanwhile.
func moveAgent(ctx context.Context, tx bun.Tx, a Agent, resource uuid.UUID, spec AgentSpec) error {
	spec.Config = spec.Config.identified(a.ID)
	a.ResourceID, a.AgentSpec, a.UpdatedAt = resource, spec, now()
	if err := forgetAgentLogs(ctx, tx, a.ID); err != nil {
		return err
	}
	return changeOne(ctx, tx.NewUpdate().Model(&a).WherePK().Column(
		"resource_id", "name", "operating_system", "architecture", "directory", "environment",
		"external", "connection_timeout_seconds", "troubleshooting_url", "config", "updated_at"))
}

// findAgent returns the newest agent of that name, or nil.
func findAgent(list []Agent, name string) *Agent {
	var found *Agent
	for i := range list {
		if a := &list[i]; strings.EqualFold(a.Name, name) && (found == nil || a.CreatedAt.After(found.CreatedAt)) {
			found = a
		}
	}
	return found
}

// agentsOf selects the ids of the agents of all builds of a workspace.
func agentsOf(db bun.IDB, workspace uuid.UUID) *bun.SelectQuery {
	return db.NewSelect().Table("agents").ColumnExpr("agents.id").
		Join("JOIN resources ON resources.id = agents.resource_id").
		Join("JOIN builds ON builds.job_id = resources.job_id").
		Where("builds.workspace_id = ?", workspace)
}
