//go:build linux

package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berthdev/berth/agent/files"
	"github.com/berthdev/berth/agent/process"
	"github.com/berthdev/berth/server/api"
)

// forwarded asks the host as somebody on the tailnet does, by way of c.
func forwarded(t *testing.T, c *Client, method, target string, body any) *httptest.ResponseRecorder {
	t.Helper()
	var raw io.Reader = http.NoBody
	switch b := body.(type) {
	case nil:
	case string:
		raw = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		raw = bytes.NewReader(text)
	}
	w := httptest.NewRecorder()
	c.Forward(w, httptest.NewRequestWithContext(t.Context(), method, target, raw))
	return w
}

// mustAnswer asks and decodes what is answered with 200.
func mustAnswer[T any](t *testing.T, c *Client, method, target string, body any) (v T) {
	t.Helper()
	w := forwarded(t, c, method, target, body)
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s = %d %s", method, target, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return v
}

func at(route, path string) string { return "/api/v0/" + route + "?path=" + url.QueryEscape(path) }

func TestFilesThroughTheHost(t *testing.T) {
	c := attached(t, newName(t), "1")
	path := filepath.Join(t.TempDir(), "new", "f & g")
	if w := forwarded(t, c, http.MethodPost, at("write-file", path), "x"); w.Code != http.StatusNotFound {
		t.Errorf("write without a directory = %d %s, want 404", w.Code, w.Body)
	}
	wrote := mustAnswer[written](t, c, http.MethodPost, at("write-file", path)+"&parents=true", "one\ntwo\n")
	if want := (written{path, 8}); wrote != want {
		t.Errorf("write-file = %+v, want %+v", wrote, want)
	}
	read := forwarded(t, c, http.MethodGet, at("read-file", path)+"&offset=4&limit=3", nil)
	if read.Code != http.StatusOK || read.Body.String() != "two" || read.Header().Get(sizeHeader) != "8" {
		t.Errorf("read-file = %d %q of %q, want two of 8", read.Code, read.Body, read.Header().Get(sizeHeader))
	}
	lines := mustAnswer[files.Lines](t, c, http.MethodGet, at("read-file-lines", path)+"&offset=2", nil)
	if want := (files.Lines{First: 2, Count: 1, Total: 2, Content: "two\n", Size: 8}); lines != want {
		t.Errorf("read-file-lines = %+v, want %+v", lines, want)
	}
	edits := []files.FileEdits{{Path: path, Edits: []files.Edit{{Search: "two", Replace: "three"}}}}
	mustAnswer[struct{}](t, c, http.MethodPost, "/api/v0/edit-files", map[string]any{"files": edits})
	if got, err := os.ReadFile(path); err != nil || string(got) != "one\nthree\n" {
		t.Errorf("the file has %q, %v, want one and three", got, err)
	}
	if w := forwarded(t, c, http.MethodPost, "/api/v0/edit-files", map[string]any{"files": edits}); w.Code != http.StatusBadRequest {
		t.Errorf("the same edits again = %d %s, want 400", w.Code, w.Body)
	}
	list := mustAnswer[files.Listing](t, c, http.MethodPost, "/api/v0/list-directory", map[string]string{"path": filepath.Dir(path)})
	if len(list.Contents) != 1 || list.Contents[0].Path != path {
		t.Errorf("list-directory = %+v, want the file", list)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []map[string]string{{"path": "~"}, {"relativity": "home"}, {"relativity": "home", "path": "."}} {
		if got := mustAnswer[files.Listing](t, c, http.MethodPost, "/api/v0/list-directory", req); got.Path != home {
			t.Errorf("list-directory of %v is of %s, want %s", req, got.Path, home)
		}
	}
}

// TestWhatTheHostRefuses says what is wrong in the server's form.
func TestWhatTheHostRefuses(t *testing.T) {
	c := attached(t, newName(t), "1")
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, files.MaxRead+1); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		method, target string
		body           any
		want           int
	}{
		{"GET", at("read-file", "relative"), nil, 400},
		{"GET", at("read-file", dir), nil, 400},
		{"GET", at("read-file", large) + "&offset=x", nil, 400},
		{"GET", at("read-file", large+"/below"), nil, 400},
		{"GET", at("read-file", dir+"/none"), nil, 404},
		{"GET", at("read-file", large), nil, 413},
		{"GET", at("read-file", "/proc/sys/vm/compact_memory"), nil, 403}, // write-only, for root too
		{"POST", at("write-file", dir+"/f"), strings.Repeat("x", files.MaxWrite+1), 413},
		{"POST", "/api/v0/edit-files", strings.Repeat(" ", maxRequest+1), 413},
		{"POST", "/api/v0/edit-files", "no json", 400},
		{"POST", "/api/v0/list-directory", map[string]string{"relativity": "moon"}, 400},
		{"POST", "/api/v0/processes/start", map[string]string{"command": ""}, 400},
		{"POST", "/api/v0/processes/start", map[string]string{"command": "true", "workdir": "here"}, 400},
		{"GET", "/api/v0/processes/x/output", nil, 404},
		{"POST", "/api/v0/processes/" + setupForTests.Workspace + "/signal", map[string]string{"signal": "kill"}, 404},
		{"GET", "/api/v0/of-the-future", nil, 501},
	} {
		w := forwarded(t, c, q.method, q.target, q.body)
		var said api.Response
		if err := json.Unmarshal(w.Body.Bytes(), &said); w.Code != q.want || err != nil || said.Message == "" {
			t.Errorf("%s %s = %d %q, %v; want %d and a message", q.method, q.target, w.Code, w.Body, err, q.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v are left, want the large file alone", left, err)
	}
}

func TestBlockedFileTransferBlocksTheFilesOfTheAPI(t *testing.T) {
	c := half(t, newName(t), "1")
	s := setupForTests
	s.Options.BlockFileTransfer = true
	mustAttach(t, c, s)
	path := filepath.Join(t.TempDir(), "f")
	for _, q := range [][2]string{
		{"POST", at("write-file", path)},
		{"GET", at("read-file", "/etc/passwd")},
		{"GET", at("read-file-lines", "/etc/passwd")},
		{"POST", "/api/v0/list-directory"},
		{"POST", "/api/v0/edit-files"},
	} {
		if w := forwarded(t, c, q[0], q[1], "{}"); w.Code != http.StatusForbidden {
			t.Errorf("%s %s = %d %s, want 403", q[0], q[1], w.Code, w.Body)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file was written: %v", err)
	}
}

// TestProcessOutlivesTheNetworkHalf starts a process by one network half, and asks
// the next one, of another version, for what it printed.
func TestProcessOutlivesTheNetworkHalf(t *testing.T) {
	name := newName(t)
	first := attached(t, name, "1")
	untilReady(t, first)
	host := mustState(t, first)
	gate := filepath.Join(t.TempDir(), "gate")
	started := mustAnswer[process.Info](t, first, http.MethodPost, "/api/v0/processes/start", process.Request{
		Command: fmt.Sprintf("echo $PPID $FROM_SETUP $MORE; until [ -e %s ]; do sleep 0.01; done; echo end", gate),
		Dir:     "~", Env: map[string]string{"MORE": "too"}, Background: true,
	})
	first.Close()
	second := attached(t, name, "2")
	if s := mustState(t, second); s.PID != host.PID || s.Processes != 1 || s.Idle() {
		t.Errorf("host = %+v, want %d, which keeps the process", s, host.PID)
	}
	list := mustAnswer[struct{ Processes []process.Info }](t, second, http.MethodGet, "/api/v0/processes/list", nil).Processes
	if len(list) != 1 || list[0].ID != started.ID || !list[0].Running {
		t.Fatalf("processes = %+v, want %+v", list, started)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := mustAnswer[process.Output](t, second, http.MethodGet, "/api/v0/processes/"+started.ID.String()+"/output?wait=true", nil)
	if want := fmt.Sprintf("%d yes too\nend\n", host.PID); o.Output != want || o.ExitCode == nil || *o.ExitCode != 0 {
		t.Errorf("output = %+v, want %q", o, want)
	}
}

func untilReady(t *testing.T, c *Client) {
	t.Helper()
	untilPhase(t, c, "ready")
}

// TestProcessesEndWithTheHost has one that would go on.
func TestProcessesEndWithTheHost(t *testing.T) {
	c := attached(t, newName(t), "1")
	started := mustAnswer[process.Info](t, c, http.MethodPost, "/api/v0/processes/start", process.Request{Command: "exec sleep 1000"})
	if _, err := c.End(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, started.PID)
}

func TestSignalThroughTheHost(t *testing.T) {
	c := attached(t, newName(t), "1")
	started := mustAnswer[process.Info](t, c, http.MethodPost, "/api/v0/processes/start", process.Request{Command: "exec sleep 1000"})
	target := "/api/v0/processes/" + started.ID.String()
	if w := forwarded(t, c, http.MethodPost, target+"/signal", map[string]string{"signal": "terminate"}); w.Code != http.StatusNoContent {
		t.Fatalf("signal = %d %s, want 204", w.Code, w.Body)
	}
	if o := mustAnswer[process.Output](t, c, http.MethodGet, target+"/output?wait=true", nil); o.Signal != "terminated" {
		t.Errorf("it ended with %+v, want terminated", o)
	}
	awaitGone(t, started.PID)
	if w := forwarded(t, c, http.MethodPost, target+"/signal", map[string]string{"signal": "terminate"}); w.Code != http.StatusConflict {
		t.Errorf("signal after the end = %d %s, want 409", w.Code, w.Body)
	}
}

// TestForwardStartsAHost has the body of a request reach the host that was started
// for it.
func TestForwardStartsAHost(t *testing.T) {
	c := half(t, newName(t), "1")
	path := filepath.Join(t.TempDir(), "f")
	c.setup = setupForTests
	if w := forwarded(t, c, http.MethodPost, at("write-file", path), "kept"); w.Code != http.StatusOK {
		t.Fatalf("write-file = %d %s", w.Code, w.Body)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "kept" {
		t.Errorf("the file has %q, %v, want kept", got, err)
	}
}
