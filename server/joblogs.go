package server

import (
	"context"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

func jobLogJSON(l store.JobLog) api.JobLog {
	return api.JobLog{
		ID: l.ID, CreatedAt: l.CreatedAt, LogSource: l.Source, LogLevel: l.Level, Stage: l.Stage, Output: l.Output,
	}
}

// getBuildLogs answers with the log of a build as a list or, with follow, as a
// WebSocket with a line per message that ends with the job.
func (s *Server) getBuildLogs(w http.ResponseWriter, r *http.Request) error {
	b, _, err := s.pathBuild(r)
	if err != nil {
		return err
	}
	after, err := queryAfter(r)
	if err != nil {
		return err
	}
	if !r.URL.Query().Has("follow") {
		return s.listJobLogs(w, r, b.JobID, after)
	}
	return s.serveSocket(w, r, func(ctx context.Context, out jsonSocket) error {
		return s.followJob(ctx, b.ID, after, out)
	})
}

// queryAfter reads the number of the last line that the client has.
func queryAfter(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("after")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < -1 {
		return 0, invalid("after", "Must be the id of a line.")
	}
	return n, nil
}

func (s *Server) listJobLogs(w http.ResponseWriter, r *http.Request, job uuid.UUID, after int64) error {
	out := []api.JobLog{}
	_, err := s.eachJobLog(r.Context(), job, after, func(l store.JobLog) error {
		out = append(out, jobLogJSON(l))
		return nil
	})
	if err != nil {
		return err
	}
	return ok(w, out)
}

// eachJobLog calls do for every line after one, and returns the last.
func (s *Server) eachJobLog(ctx context.Context, job uuid.UUID, after int64, do func(store.JobLog) error) (int64, error) {
	for {
		lines, err := s.store.JobLogs(ctx, job, after)
		if err != nil || len(lines) == 0 {
			return after, err
		}
		for _, l := range lines {
			if err := do(l); err != nil {
				return after, err
			}
			after = l.ID
		}
	}
}

// followJob sends lines until the job of a build has ended. The state of the
// job is read before its lines, so that none of the last is missed.
func (s *Server) followJob(ctx context.Context, build uuid.UUID, after int64, out jsonSocket) error {
	b, err := s.store.BuildByID(ctx, build)
	if err != nil {
		return err
	}
	changed, stop := s.events.watch(b.WorkspaceID)
	defer stop()
	return follow(ctx, out, func() (<-chan struct{}, error) {
		b, err := s.store.BuildByID(ctx, build)
		if err != nil {
			return nil, err
		}
		after, err = s.eachJobLog(ctx, b.JobID, after, func(l store.JobLog) error { return out.send(ctx, jobLogJSON(l)) })
		if err != nil || !b.Job.Status.Active() {
			return nil, err
		}
		return changed, nil
	})
}
