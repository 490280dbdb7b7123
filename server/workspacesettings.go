package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// withSettings checks what a request for a workspace says about its starts.
func withSettings(n *store.NewWorkspace, req api.CreateWorkspaceRequest) (err error) {
	if n.AutostartSchedule, n.NextStartAt, err = autostart(req.AutostartSchedule, "autostart_schedule"); err != nil {
		return err
	}
	n.AutomaticUpdates = req.AutomaticUpdates
	if req.AutomaticUpdates == "" {
		return nil
	}
	return checkUpdates(req.AutomaticUpdates)
}

// autostart reads a schedule, and says when it starts a workspace next.
func autostart(text *string, field string) (schedule string, next time.Time, err error) {
	if text == nil || *text == "" {
		return "", time.Time{}, nil
	}
	parsed, err := api.ParseSchedule(*text)
	if err == nil {
		next, err = parsed.Next(time.Now())
	}
	if err != nil {
		return "", time.Time{}, invalid(field, printable(fmt.Sprintf("Is not a schedule: %v.", err), 200))
	}
	return parsed.String(), next, nil
}

func checkUpdates(updates string) error {
	if updates != store.UpdateAlways && updates != store.UpdateNever {
		return invalid("automatic_updates", "Must be always or never.")
	}
	return nil
}

// putAutostart sets when a workspace starts by itself.
func (s *Server) putAutostart(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Update)
	if err != nil {
		return err
	}
	var req api.UpdateAutostartRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	schedule, next, err := autostart(req.Schedule, "schedule")
	if err != nil {
		return err
	}
	if err := s.store.SetAutostart(r.Context(), ws.ID, schedule, next); err != nil {
		return err
	}
	s.rescheduled(ws.ID)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// putAutoupdates sets whether starts of a workspace run the active version of
// its template.
func (s *Server) putAutoupdates(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.Update)
	if err != nil {
		return err
	}
	var req api.UpdateAutomaticUpdatesRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := checkUpdates(req.AutomaticUpdates); err != nil {
		return err
	}
	if err := s.store.SetAutomaticUpdates(r.Context(), ws.ID, req.AutomaticUpdates); err != nil {
		return err
	}
	s.events.changed(ws.ID)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// favor serves the two requests that say whether a workspace is a favorite.
func (s *Server) favor(favorite bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ws, err := s.pathWorkspace(r, auth.Update)
		if err != nil {
			return err
		}
		if ws.OwnerID != callerOf(r).UserID {
			return forbidden("Only the owner of a workspace has it as a favorite.")
		}
		if err := s.store.SetFavorite(r.Context(), ws.ID, favorite); err != nil {
			return err
		}
		s.events.changed(ws.ID)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}
