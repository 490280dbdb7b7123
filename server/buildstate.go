package server

import (
	"net/http"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// pathState is the build of the path, if the caller may read and replace its
// state.
func (s *Server) pathState(r *http.Request) (store.Build, store.Workspace, error) {
	b, ws, err := s.pathBuild(r)
	if err != nil {
		return b, ws, err
	}
	return b, ws, require(callerOf(r), auth.State, auth.Workspace(ws.OwnerID))
}

// getBuildState answers with the bytes of a build's state; none for a template
// that keeps none.
func (s *Server) getBuildState(w http.ResponseWriter, r *http.Request) error {
	b, ws, err := s.pathState(r)
	if err != nil {
		return err
	}
	state, err := s.store.BuildState(r.Context(), b.ID)
	if err != nil {
		return err
	}
	s.log.Info("state read", "workspace", ws.Name, "build", b.Number, "by", callerOf(r).Username)
	w.Header().Set("Content-Type", "application/json") // as Terraform writes it
	_, _ = w.Write(state)                              // an error means that nobody reads
	return nil
}

// putBuildState replaces the state of a build, without a build.
func (s *Server) putBuildState(w http.ResponseWriter, r *http.Request) error {
	b, ws, err := s.pathState(r)
	if err != nil {
		return err
	}
	var req api.UpdateBuildStateRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if err := s.store.SetBuildState(r.Context(), b.ID, req.State); err != nil {
		return err
	}
	s.log.Info("state replaced", "workspace", ws.Name, "build", b.Number, "by", callerOf(r).Username)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
