//go:build linux

package e2e

import (
	"encoding/json"
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
	url := m.server.doorway(t) + "/api/v2/workspaceagents/" + list[0].LatestBuild.Resources[0].Agents[0].ID.String() + "/listening-ports"
	req, err := http.NewRequestWithContext(within(t, patience), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(api.HeaderToken, strings.TrimSpace(string(token)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got api.ListeningPorts
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("listening ports: %s, %v", res.Status, err)
	}
	for _, want := range []api.ListeningPort{{Process: "coder", Network: "tcp", Port: HTTPPort}, {Process: "coder", Network: "tcp", Port: RelayPort}} {
		if !slices.Contains(got.Ports, want) {
			t.Errorf("listening ports = %+v, want %+v among them", got.Ports, want)
		}
	}
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
