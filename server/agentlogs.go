package server

import (
	"context"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

// maxLogAnswer bounds the lines of one answer: as many as an agent can have.
const maxLogAnswer = 1 << 16

// agentLogLines are the lines of an agent's log with numbers above after, never
// nil.
func (s *Server) agentLogLines(ctx context.Context, agent uuid.UUID, after int64) ([]api.AgentLog, error) {
	all := []api.AgentLog{}
	for len(all) < maxLogAnswer {
		lines, err := s.store.AgentLogs(ctx, agent, after)
		if err != nil || len(lines) == 0 {
			return all, err
		}
		for _, l := range lines {
			all = append(all, api.AgentLog{ID: l.ID, CreatedAt: l.CreatedAt, Output: l.Output, Level: l.Level, SourceID: l.SourceID})
		}
		after = lines[len(lines)-1].ID
	}
	return all, nil
}
