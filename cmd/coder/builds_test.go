//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/creack/pty"
	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

// longBuild is a server with one workspace, whose build says a line and fails when
// it is let go.
type longBuild struct {
	*httptest.Server
	letGo    chan struct{}
	followed atomic.Bool
}

func newLongBuild(t *testing.T) *longBuild {
	t.Helper()
	s := &longBuild{letGo: make(chan struct{})}
	build := api.Build{ID: uuid.New(), WorkspaceName: "dev", WorkspaceOwnerName: "ann", Transition: api.TransitionStart}
	mux := http.NewServeMux()
	answer := func(pattern string, with func() any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(with())
		})
	}
	answer("GET /api/v2/users/me/workspace/dev", func() any {
		return api.Workspace{ID: uuid.New(), Name: "dev", LatestBuild: api.Build{Status: api.BuildStopped}}
	})
	build.Job.Status = api.JobRunning
	answer("POST /api/v2/workspaces/{id}/builds", func() any { return build })
	answer("GET /api/v2/workspacebuilds/"+build.ID.String(), func() any {
		b := build
		select {
		case <-s.letGo:
			b.Job.Status, b.Job.Error = api.JobFailed, "no such image"
		default:
		}
		return b
	})
	mux.HandleFunc("GET /api/v2/workspacebuilds/"+build.ID.String()+"/logs", func(w http.ResponseWriter, r *http.Request) {
		s.followed.Store(true)
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_ = wsjson.Write(r.Context(), ws, api.JobLog{ID: 1, Output: "pulling the image"})
		<-s.letGo
		_ = wsjson.Write(r.Context(), ws, api.JobLog{ID: 2, Output: "giving up", LogLevel: "error"})
		ws.Close(websocket.StatusNormalClosure, "")
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *longBuild) start(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "coder", "start", "dev")
	cmd.Env = append(os.Environ(), "CODER_URL="+s.URL, "CODER_SESSION_TOKEN=x-y", "CODER_CONFIG_DIR="+t.TempDir(), "NO_COLOR=1")
	return cmd
}

// TestBuildIsShown starts a workspace at a terminal, where what the build says is
// seen while it runs.
func TestBuildIsShown(t *testing.T) {
	s := newLongBuild(t)
	cmd := s.start(t)
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	var shown []string
	for lines := bufio.NewScanner(tty); lines.Scan(); {
		shown = append(shown, lines.Text())
		if strings.HasSuffix(lines.Text(), "[build] pulling the image") {
			close(s.letGo)
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Errorf("coder start of a build that fails = status 0")
	}
	want := []string{"[build] pulling the image", "[build] giving up", `error: start of workspace "dev" failed: no such image`, "hint: coder logs ann/dev"}
	if len(shown) != len(want) {
		t.Fatalf("coder start shows %q, want lines that end with %q", shown, want)
	}
	for i, line := range shown {
		if !strings.HasSuffix(line, want[i]) {
			t.Errorf("line %d = %q, want one that ends with %q", i, line, want[i])
		}
	}
}

// TestBuildIsQuietInScripts starts it without a terminal.
func TestBuildIsQuietInScripts(t *testing.T) {
	s := newLongBuild(t)
	close(s.letGo)
	out, err := s.start(t).CombinedOutput()
	if want := "error: start of workspace \"dev\" failed: no such image\nhint: coder logs ann/dev\n"; err == nil || string(out) != want {
		t.Errorf("coder start = %q, %v; want %q", out, err, want)
	}
	if s.followed.Load() {
		t.Error("coder start without a terminal asked for the build's log")
	}
}
