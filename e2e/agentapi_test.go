//go:build linux

package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// TestAgentAPI writes a file and runs a command over the tailnet, asks for its end
// across a crash of the network half, and looks at what the agent says of itself.
func TestAgentAPI(t *testing.T) {
	m := newQuietMachine(t)
	agent := m.server.Agent(m.host, "ws")
	forward := m.host.Start(m.user.Coder(t.Context(), "port-forward", "ws", "--tcp", "4004:4"))
	if _, err := forward.WaitLine(within(t, patience), "Ready."); err != nil {
		t.Fatal(err)
	}
	// curl runs in the network of the machine, as its user may run it.
	curl := func(args ...string) string {
		t.Helper()
		for i, arg := range args {
			args[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		return m.user.MustRun("ssh", "ws", "--", "curl -sS --max-time 60 "+strings.Join(args, " "))
	}
	const api = "http://127.0.0.1:4004/api/v0/"
	path := filepath.Join(m.Dir("api"), "f")
	curl("--data-binary", "one\ntwo\n", api+"write-file?path="+path)
	if got := curl(api + "read-file?path=" + path + "&offset=4"); got != "two\n" {
		t.Errorf("read-file = %q, want two", got)
	}
	var started struct{ ID string }
	command := `{"command":"until [ -e ` + path + `.gate ]; do sleep 0.1; done; echo $CODER_WORKSPACE_NAME"}`
	if got := curl("--data-binary", command, api+"processes/start"); json.Unmarshal([]byte(got), &started) != nil || started.ID == "" {
		t.Fatalf("start = %q, want an id", got)
	}
	restart(t, agent)
	curl("--data-binary", "", api+"write-file?path="+path+".gate")
	var ended struct {
		Output   string
		ExitCode int `json:"exit_code"`
		Running  bool
	}
	if got := curl(api + "processes/" + started.ID + "/output?wait=true"); json.Unmarshal([]byte(got), &ended) != nil || ended.Running || ended.Output != "ws\n" {
		t.Errorf("output of what was started before the crash = %q, want the workspace's name", got)
	}
	var report struct {
		DERP struct {
			Severity string
			Netcheck struct{ PreferredDERP int }
		}
	}
	if got := curl(api + "netcheck"); json.Unmarshal([]byte(got), &report) != nil || report.DERP.Severity != "ok" || report.DERP.Netcheck.PreferredDERP != 999 {
		t.Errorf("netcheck = %q, want region 999 and no trouble", got)
	}
	if got := curl("http://127.0.0.1:4004/debug/magicsock"); !strings.Contains(got, `"relay_connected":true`) || !strings.Contains(got, `"path":"direct"`) {
		t.Errorf("magicsock = %q, want a direct peer", got)
	}
	if got := curl("-o", "/dev/null", "-w", "%{http_code}", "-H", "Origin: https://example.com", "-d", "", api+"write-file?path="+path); got != "403" {
		t.Errorf("write-file for a page in a browser = %s, want 403", got)
	}
}
