package server

import (
	"net/http"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// patchTemplate changes what a template lets its workspaces do. Clients of others
// send all fields that they know; those that nothing here depends on are passed
// over.
func (s *Server) patchTemplate(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "template")
	if err != nil {
		return err
	}
	if err := require(callerOf(r), auth.Update, auth.Any(auth.KindTemplate)); err != nil {
		return err
	}
	t, err := s.store.TemplateByID(r.Context(), id)
	if err != nil {
		return err
	}
	var req api.UpdateTemplateRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	limits, err := changedLimits(t.Limits(), req)
	if err != nil {
		return err
	}
	if limits != t.Limits() {
		if err := s.store.SetLimits(r.Context(), id, limits); err != nil {
			return err
		}
		s.log.Info("template changed", "template", t.Name, "by", callerOf(r).Username, "activity_bump", limits.ActivityBump, "max_lease", limits.MaxLease)
	}
	if t, err = s.store.TemplateByID(r.Context(), id); err != nil {
		return err
	}
	return ok(w, templateJSON(t))
}

// changedLimits are the limits with what a request says.
func changedLimits(l store.TemplateLimits, req api.UpdateTemplateRequest) (store.TemplateLimits, error) {
	if ms := req.ActivityBumpMillis; ms != nil {
		if *ms < 0 || *ms > maxTTL.Milliseconds() || *ms != 0 && *ms < minTTL.Milliseconds() {
			return l, invalid("activity_bump_ms", "Must be 0, or from 1 minute to 30 days.")
		}
		l.ActivityBump = (time.Duration(*ms) * time.Millisecond).Truncate(time.Second)
	}
	if ms := req.MaxLeaseMillis; ms != nil {
		if *ms < minTTL.Milliseconds() || *ms > maxTTL.Milliseconds() {
			return l, invalid("max_lease_ms", "Must be from 1 minute to 30 days.")
		}
		l.MaxLease = (time.Duration(*ms) * time.Millisecond).Truncate(time.Second)
	}
	return l, nil
}
