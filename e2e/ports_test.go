//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berthdev/berth/server/api"
)

// TestListeningPorts asks the server which ports processes of the workspace
// listen on: the server's own, as it runs on the same machine.
func TestListeningPorts(t *testing.T) {
	m := newQuietMachine(t)
	m.server.Agent(m.host, "ws")
	var list []struct {
		LatestBuild api.Build `json:"latest_build"`
	}
	if err := json.Unmarshal([]byte(m.user.MustRun("list", "-o", "json")), &list); err != nil || len(list) != 1 {
		t.Fatalf("coder list -o json: %d workspaces, %v", len(list), err)
	}
	token, err := os.ReadFile(filepath.Join(m.server.config, "session"))
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + m.server.doorway(t) + "/api/v2/workspaceagents/" + list[0].LatestBuild.Resources[0].Agents[0].ID.String() + "/listening-ports"
	want := []api.ListeningPort{{Process: "coder", Network: "tcp", Port: HTTPPort}, {Process: "coder", Network: "tcp", Port: RelayPort}}
	// Whose a port is may take some calls on a busy machine: each looks for
	// 10 ms at most and goes on where the last one ended.
	eventually(t, "the ports of the server and their owner", func() (string, bool) {
		got := listeningPorts(t, url, strings.TrimSpace(string(token)))
		missing := slices.DeleteFunc(slices.Clone(want), func(p api.ListeningPort) bool { return slices.Contains(got, p) })
		return fmt.Sprintf("%+v", got), len(missing) == 0
	})
}

func listeningPorts(t *testing.T, url, token string) []api.ListeningPort {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, patience), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(api.HeaderToken, token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got api.ListeningPorts
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("listening ports: %s, %v", res.Status, err)
	}
	return got.Ports
}

// TestMetrics reads the agent's metrics where it was told to serve them.
func TestMetrics(t *testing.T) {
	m := newQuietMachine(t)
	m.server.StartAgent(m.host, m.server.URL, m.server.Create("ws"), "--prometheus-address", "127.0.0.1:2112")
	shell := m.user.Shell("ws")
	got := m.user.MustRun("ssh", "ws", "--", "curl -s http://127.0.0.1:2112/metrics")
	for _, want := range []string{"# TYPE berth_agent_sessions gauge\nberth_agent_sessions{type=\"ssh\"} 2\n", "\nberth_agent_goroutines ", "\n# TYPE berth_agent_relay_lost_packets_total counter\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("metrics = %q, want %q among them", got, want)
		}
	}
	shell.MustAwait(patience)
}
