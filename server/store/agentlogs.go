package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// maxAgentLogs is how many bytes of output an agent may log, over all its
// sources (reference: agent §5).
const maxAgentLogs = 1 << 20

// logLineCost is what a line takes besides its output, in bytes: empty lines
// count too.
const logLineCost = 21

// AgentLog is a row of agent_logs: one line.
type AgentLog struct {
	AgentID   uuid.UUID `bun:",pk"`
	ID        int64     `bun:",pk"` // 1, 2, 3 of its agent
	CreatedAt time.Time
	SourceID  uuid.UUID
	Level     string // trace, debug, info, warn or error
	Output    string
}

// AppendAgentLogs adds lines to the log of an agent, or none of them when they
// do not all fit: then and ever after it reports an overflow. ErrNotFound for
// an unknown agent.
func (s *Store) AppendAgentLogs(ctx context.Context, agent uuid.UUID, lines []AgentLog) (overflowed bool, err error) {
	err = s.change(ctx, func(ctx context.Context, tx bun.Tx) error {
		a := Agent{ID: agent}
		// The update holds the row, so that numbers become visible in order.
		q := tx.NewUpdate().Model((*Agent)(nil)).Set("updated_at = ?", now()).Where("id = ?", agent)
		if err := changeOne(ctx, q); err != nil {
			return err
		}
		if err := tx.NewSelect().Model(&a).WherePK().Scan(ctx); err != nil {
			return err
		}
		kept := a.appendLogs(lines)
		overflowed = a.LogsOverflowed
		if _, err := tx.NewUpdate().Model(&a).Column("last_log_id", "logs_bytes", "logs_overflowed").WherePK().Exec(ctx); err != nil || len(kept) == 0 {
			return err
		}
		_, err := tx.NewInsert().Model(&kept).Exec(ctx)
		return err
	})
	return overflowed, err
}

// appendLogs numbers lines that all fit, and counts them into a.
func (a *Agent) appendLogs(lines []AgentLog) []AgentLog {
	size := int64(0)
	for i := range lines {
		lines[i].Output = plain(lines[i].Output)
		size += int64(len(lines[i].Output)) + logLineCost
	}
	if a.LogsOverflowed = a.LogsOverflowed || a.LogsBytes+size > maxAgentLogs; a.LogsOverflowed {
		return nil
	}
	a.LogsBytes += size
	for i := range lines {
		a.LastLogID++
		lines[i].AgentID, lines[i].ID, lines[i].CreatedAt = a.ID, a.LastLogID, at(lines[i].CreatedAt)
	}
	return lines
}

// AgentLogs returns at most 1000 lines of an agent with numbers above after, in
// order; none are left when it returns fewer.
func (s *Store) AgentLogs(ctx context.Context, agent uuid.UUID, after int64) ([]AgentLog, error) {
	list := []AgentLog{}
	err := s.read.NewSelect().Model(&list).Where("agent_id = ? AND id > ?", agent, after).Order("id").Limit(MaxPage).Scan(ctx)
	return list, translate(err)
}

// forgetAgentLogs drops what an agent logged and how its scripts ended. Numbers
// of lines go on, so that who follows the log misses nothing.
func forgetAgentLogs(ctx context.Context, tx bun.Tx, agent uuid.UUID) error {
	if _, err := tx.NewDelete().Model((*AgentLog)(nil)).Where("agent_id = ?", agent).Exec(ctx); err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*ScriptRun)(nil)).Where("agent_id = ?", agent).Exec(ctx); err != nil {
		return err
	}
	q := tx.NewUpdate().Model((*Agent)(nil)).Set("logs_bytes = 0, logs_overflowed = ?", false)
	return changeOne(ctx, q.Where("id = ?", agent))
}

// ScriptRun is a row of script_runs: the last run of a script in a stage.
type ScriptRun struct {
	AgentID   uuid.UUID `bun:",pk"`
	ScriptID  uuid.UUID `bun:",pk"`
	Stage     string    `bun:",pk"` // start, stop or cron
	Status    string    // ok, exit_failure, timed_out or pipes_left_open
	ExitCode  int64
	StartedAt time.Time
	EndedAt   time.Time
}

// SetScriptRun writes down how a script ended, in place of its run before.
func (s *Store) SetScriptRun(ctx context.Context, run ScriptRun) error {
	run.StartedAt, run.EndedAt = at(run.StartedAt), at(run.EndedAt)
	_, err := s.write.NewInsert().Model(&run).
		On("CONFLICT (agent_id, script_id, stage) DO UPDATE").
		Set("status = EXCLUDED.status, exit_code = EXCLUDED.exit_code, started_at = EXCLUDED.started_at, ended_at = EXCLUDED.ended_at").
		Exec(ctx)
	return translate(err)
}

// ScriptRuns are the last runs of the scripts of agents, in order of their
// start.
func (s *Store) ScriptRuns(ctx context.Context, agents []uuid.UUID) ([]ScriptRun, error) {
	list := []ScriptRun{}
	if len(agents) == 0 {
		return list, nil
	}
	err := s.read.NewSelect().Model(&list).Where("agent_id IN (?)", bun.List(agents)).Order("started_at").Scan(ctx)
	return list, translate(err)
}
