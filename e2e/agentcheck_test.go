//go:build linux

package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/berthdev/berth/tailnet/netlab"
)

// TestAgentCheck asks what an agent would run into, while one runs: it goes on.
func TestAgentCheck(t *testing.T) {
	m := newQuietMachine(t)
	token := m.server.Create("ws")
	agent := m.server.StartAgent(m.host, m.server.URL, token)
	if _, err := agent.WaitLine(within(t, patience), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	check := func(url, token string) Result {
		env := []string{"CODER_AGENT_URL=" + url, "CODER_AGENT_TOKEN=" + token}
		return m.World.Run(m.World.Coder(within(t, patience), m.host, env, "agent", "--check"))
	}
	shell := m.user.Shell("ws")
	got := check(m.server.URL, token)
	want := regexp.MustCompile(`(?s)^ok    dns .*\nok    connect .*\nok    server    version v2\..*\nok    clock .*\nok    token     agent main of workspace admin/ws\nok    relay .*\nok    udp       seen as 198\.18\..*\n$`)
	if got.Code != 0 || !want.MatchString(got.Stdout) {
		t.Errorf("coder agent --check = %+v, want all well", got)
	}
	shell.MustAwait(patience)
	select {
	case <-agent.Done():
		t.Error("the agent that runs has ended")
	default:
	}
	for what, tc := range map[string]struct{ url, token, step, hint string }{
		"a wrong token": {m.server.URL, "6b4bb877-1c32-4029-b9fa-efa8c948d6d7", "FAIL  token", "agent-instructions"},
		"nobody there":  {"http://198.18.0.2:1", token, "FAIL  connect", "firewall"},
		"no name":       {"http://no-such-host.invalid", token, "FAIL  dns", "resolv.conf"},
		"no server":     {"http://198.18.0.2:3478", token, "FAIL  server", "reverse proxy"},
	} {
		got := check(tc.url, tc.token)
		if got.Code != 1 || !strings.Contains(got.Stdout, tc.step) || !strings.Contains(got.Stdout, tc.hint) {
			t.Errorf("coder agent --check with %s = %+v, want %q and a hint with %q", what, got, tc.step, tc.hint)
		}
	}
}

// TestAgentCheckBehindAFirewall has UDP blocked, which an agent can live with.
func TestAgentCheckBehindAFirewall(t *testing.T) {
	w := newWorld(t)
	server, machine := w.Host("server"), w.Host("machine")
	s := w.Serve(server)
	token := s.Create("ws")
	machine.Block(netlab.Filter{Proto: "udp"})
	env := []string{"CODER_AGENT_URL=" + s.URL, "CODER_AGENT_TOKEN=" + token}
	if got := w.Run(w.Coder(within(t, patience), machine, env, "agent", "--check")); got.Code != 0 || !strings.Contains(got.Stdout, "warn  udp") || !strings.Contains(got.Stdout, "UDP 3478") {
		t.Errorf("coder agent --check without UDP = %+v, want a warning", got)
	}
}
