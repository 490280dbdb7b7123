package server

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// getTimings tells how the scripts of a build's agents ended last, and how long
// they took.
func (s *Server) getTimings(w http.ResponseWriter, r *http.Request) error {
	b, _, err := s.pathBuild(r)
	if err != nil {
		return err
	}
	agents := map[uuid.UUID]*store.Agent{}
	var ids []uuid.UUID
	for _, res := range b.Resources {
		for _, a := range res.Agents {
			agents[a.ID], ids = a, append(ids, a.ID)
		}
	}
	runs, err := s.store.ScriptRuns(r.Context(), ids)
	if err != nil {
		return err
	}
	out := api.Timings{Scripts: []api.ScriptTiming{}, Provisioner: []struct{}{}, Connections: []struct{}{}}
	for _, run := range runs {
		a := agents[run.AgentID]
		out.Scripts = append(out.Scripts, api.ScriptTiming{
			StartedAt: run.StartedAt, EndedAt: run.EndedAt, ExitCode: int(run.ExitCode), Stage: run.Stage, Status: run.Status,
			DisplayName: scriptName(a, run.ScriptID), AgentID: a.ID.String(), AgentName: a.Name,
		})
	}
	return ok(w, out)
}

// scriptName is the name of a script of an agent; "" when it is gone.
func scriptName(a *store.Agent, id uuid.UUID) string {
	for _, s := range a.Config.Scripts {
		if s.ID == id {
			return s.Name
		}
	}
	return ""
}
