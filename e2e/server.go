//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// patience is how long the harness waits for what takes a second on an idle
// machine.
const patience = 60 * time.Second

// Ports of a Server on all its addresses.
const (
	HTTPPort  = 7080
	RelayPort = 3478 // TCP and UDP
)

// Server is a coder server with one user, who is signed in.
type Server struct {
	*netlab.Proc
	URL  string // of the main port, by the address of its host
	Host *netlab.Host

	world  *World
	config string // the configuration directory of the signed in user
}

// Serve starts a server on h and signs its first user in. args are added to
// its command line.
func (w *World) Serve(h *netlab.Host, args ...string) *Server {
	w.t.Helper()
	s := &Server{
		URL: fmt.Sprintf("http://%v:%d", h.Addr(), HTTPPort), Host: h,
		world: w, config: filepath.Join(w.dir, "config"),
	}
	args = append([]string{
		"server", "--http-address", fmt.Sprintf("0.0.0.0:%d", HTTPPort), "--relay-address", fmt.Sprintf("0.0.0.0:%d", RelayPort),
		"--access-url", s.URL, "--data-dir", filepath.Join(w.dir, "data"),
	}, args...)
	s.Proc = h.Start(w.Coder(context.Background(), h, nil, args...))
	s.awaitReady()
	s.User(h).MustRun("login", s.URL, "--first-user-username", "admin",
		"--first-user-email", "admin@example.com", "--first-user-password", "correct-horse-battery")
	return s
}

func (s *Server) awaitReady() {
	s.world.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.WaitLine(ctx, "is ready at"); err != nil {
		s.world.t.Fatalf("start the server: %v", err)
	}
}

// Restart starts the server again after it was killed, and returns when it is
// ready.
func (s *Server) Restart() {
	s.world.t.Helper()
	s.Proc.Restart()
	s.awaitReady()
}

// User is the signed in user at a host.
func (s *Server) User(h *netlab.Host) *User {
	return &User{Host: h, Env: []string{"CODER_CONFIG_DIR=" + s.config}, world: s.world}
}

// UserVia is the user at a host who is signed in by another URL of the server, with
// more flags.
func (s *Server) UserVia(h *netlab.Host, url string, flags ...string) *User {
	s.world.t.Helper()
	token := strings.TrimSpace(s.User(s.Host).MustRun("login", "token"))
	u := &User{Host: h, Env: []string{"CODER_CONFIG_DIR=" + s.world.Dir("config via "+h.Name())}, world: s.world}
	u.MustRun(slices.Concat(flags, []string{"login", url, "--token", token})...)
	return u
}

// Create makes a workspace of the template byo and returns the token of its
// agent. args are added to the command line.
func (s *Server) Create(workspace string, args ...string) (token string) {
	s.world.t.Helper()
	u := s.User(s.Host)
	u.MustRun(append([]string{"create", workspace, "--template", "byo", "--yes"}, args...)...)
	var in struct{ Token string }
	out := u.MustRun("external-workspaces", "agent-instructions", workspace, "-o", "json")
	if err := json.Unmarshal([]byte(out), &in); err != nil || in.Token == "" {
		s.world.t.Fatalf("agent-instructions printed %q, want JSON with a token (error %v)", out, err)
	}
	return in.Token
}

// Agent makes a workspace whose machine is h, and returns its agent when that
// is connected.
func (s *Server) Agent(h *netlab.Host, workspace string) *netlab.Proc {
	s.world.t.Helper()
	agent := s.StartAgent(h, s.URL, s.Create(workspace))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := agent.WaitLine(ctx, "connected to the server"); err != nil {
		s.world.t.Fatalf("start the agent: %v", err)
	}
	return agent
}

// StartAgent starts an agent that reaches the server by url. args are added to
// its command line.
func (s *Server) StartAgent(h *netlab.Host, url, token string, args ...string) *netlab.Proc {
	s.world.t.Helper()
	env := []string{"CODER_AGENT_URL=" + url, "CODER_AGENT_TOKEN=" + token, "CODER_AGENT_LOG_DIR=" + s.world.Dir(h.Name())}
	agent := h.Start(s.world.Coder(context.Background(), h, env, append([]string{"agent"}, args...)...))
	s.world.t.Cleanup(func() { // so that its session host ends too
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if agent.Signal(syscall.SIGTERM) == nil {
			_ = agent.Wait(ctx)
		}
	})
	return agent
}
