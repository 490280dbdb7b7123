package server

import (
	"fmt"
	"net/http"
	"runtime"

	"github.com/go-chi/chi/v5"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// getExternalAgent tells the token of an agent that is started by hand, and the
// command that starts it. Who has the token stands in for the workspace, so
// that only those may ask who may also reach into it.
func (s *Server) getExternalAgent(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.pathWorkspace(r, auth.SSH)
	if err != nil {
		return hidden(err)
	}
	d, err := s.store.AgentByName(r.Context(), ws.ID, chi.URLParam(r, "agent"))
	if err != nil {
		return err
	}
	token, err := s.store.AgentToken(r.Context(), d.Agent.ID)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return ok(w, api.ExternalAgentCredentials{AgentToken: token.Reveal(), Command: s.agentCommand(token, d.Agent)})
}

// agentCommand is what to paste on the machine. The token is in the environment
// of one process, not in the arguments that everybody on the machine can see.
// Both values have grammars that need no quotes.
func (s *Server) agentCommand(token store.Secret, a store.Agent) string {
	os, arch := a.OperatingSystem, a.Architecture
	if os == "" {
		os, arch = runtime.GOOS, runtime.GOARCH
	}
	script := fmt.Sprintf("%s/api/v2/init-script/%s/%s", s.access, os, arch)
	if os == "windows" {
		return fmt.Sprintf("$env:CODER_AGENT_TOKEN=%q; iwr -UseBasicParsing %s | iex", token.Reveal(), script)
	}
	return fmt.Sprintf("curl -fsSL %s | CODER_AGENT_TOKEN=%s sh", script, token.Reveal())
}
