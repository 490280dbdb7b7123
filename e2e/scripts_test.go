//go:build linux

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const scriptsConfig = `
env: {GREETING: hello}
scripts:
  - display_name: Prepare
    run_on_start: true
    start_blocks_login: true
    script: |
      echo "$GREETING from prepare"
      echo oops >&2
      printf '#!/bin/sh\necho installed\n' > $CODER_SCRIPT_BIN_DIR/tool
      chmod +x $CODER_SCRIPT_BIN_DIR/tool
      until [ -e ~/go ]; do sleep 0.05; done
  - display_name: After
    run_on_start: true
    script: |
      # coder:after Prepare
      touch ~/after
  - display_name: Tick
    cron: "* * * * * *"
    script: echo tick
shutdown_script: |
  echo bye
  touch ~/stopped
`

// configured is a machine whose workspace has a config.
func configured(t *testing.T, config string) (m *machine, home string, token string) {
	t.Helper()
	m = newQuietMachine(t)
	file := filepath.Join(m.Dir("config-of-ws"), "agent.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	token = m.server.Create("ws", "--parameter", "agent_config=@"+file)
	return m, m.Dir(m.host.Name()), token
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func there(path string) func() (string, bool) {
	return func() (string, bool) {
		_, err := os.Stat(path)
		return "not there", err == nil
	}
}

// TestScripts goes through the life of a workspace with scripts: what blocks
// logins, what comes after it, a crash of the network half in the middle, the
// clock, and the stop.
func TestScripts(t *testing.T) {
	m, home, token := configured(t, scriptsConfig)
	agent := m.server.StartAgent(m.host, m.server.URL, token)
	logs := m.host.Start(m.user.Coder(context.Background(), "logs", "-f", "ws"))
	if _, err := logs.WaitLine(within(t, patience), "[Prepare] hello from prepare"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the line from stderr", func() (string, bool) { return logs.Output(), strings.Contains(logs.Output(), "[Prepare] oops") })
	waiting := make(chan Result, 1)
	go func() { waiting <- m.user.Run(within(t, patience), "ssh", "ws", "--", "tool; ls ~/go") }()
	if got := m.user.Run(within(t, patience), "ssh", "--wait=no", "ws", "--", "ls ~/go"); got.Code != 2 {
		t.Errorf("coder ssh --wait=no = %+v, want a login while the script runs", got)
	}
	if got := m.user.MustRun("show", "ws"); !strings.Contains(got, "starting") {
		t.Errorf("coder show while a script runs = %q, want starting", got)
	}
	agent.Kill9()
	agent.Restart()
	touch(t, filepath.Join(home, "go"))
	if got := <-waiting; got.Code != 0 || !strings.HasPrefix(got.Stdout, "installed\n") {
		t.Errorf("coder ssh that waits = %+v, want what the script installed", got)
	}
	eventually(t, "the script after it", there(filepath.Join(home, "after")))
	if _, err := logs.WaitLine(within(t, patience), "[Tick] tick"); err != nil {
		t.Error(err)
	}
	if err := agent.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(within(t, patience)); err != nil {
		t.Errorf("end of the agent = %v", err)
	}
	eventually(t, "the stop script", there(filepath.Join(home, "stopped")))
	if _, err := logs.WaitLine(within(t, patience), "[Shutdown Script] bye"); err != nil {
		t.Error(err)
	}
	eventually(t, "state off", func() (string, bool) {
		got := m.user.MustRun("list", "-o", "json")
		return got, strings.Contains(got, `"lifecycle_state": "off"`)
	})
	if got := m.user.MustRun("show", "ws"); !strings.Contains(got, "Prepare at start: ok, in ") || !strings.Contains(got, "Shutdown Script at stop: ok, in ") {
		t.Errorf("coder show after the end = %q, want how scripts ended", got)
	}
	if all := m.user.MustRun("logs", "ws"); strings.Count(all, "hello from prepare") != 1 {
		t.Errorf("coder logs = %q, want the start script's line once, also over a crash", all)
	}
}

// TestStopWithoutServer runs the scripts of the stop when nobody hears of it.
func TestStopWithoutServer(t *testing.T) {
	m, home, token := configured(t, "shutdown_script: touch ~/stopped")
	agent := m.server.StartAgent(m.host, m.server.URL, token)
	if _, err := agent.WaitLine(within(t, patience), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	m.server.Kill9()
	began := time.Now()
	if err := agent.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(within(t, patience)); err != nil {
		t.Errorf("end of the agent = %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop without a server took %v, want less than containers are given", took)
	}
	eventually(t, "the stop script", there(filepath.Join(home, "stopped")))
}

// TestConfigChanges gives a running workspace another config.
func TestConfigChanges(t *testing.T) {
	m, _, token := configured(t, "env: {COLOR: red}")
	agent := m.server.StartAgent(m.host, m.server.URL, token)
	if _, err := agent.WaitLine(within(t, patience), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	shell := m.user.Shell("ws")
	m.user.MustRun("update", "ws", "--parameter", "agent_config=env: {COLOR: blue}")
	if _, err := agent.WaitLine(within(t, patience), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	if got := m.user.MustRun("ssh", "ws", "--", "echo $COLOR"); got != "blue\n" {
		t.Errorf("a login after the change has COLOR=%q, want blue", got)
	}
	shell.MustAwait(patience)
	if got := m.user.Run(within(t, patience), "update", "ws", "--parameter", "agent_config=nonsense: 1"); got.Code != 1 || !strings.Contains(got.Stderr, "nonsense") {
		t.Errorf("update with a wrong config = %+v, want exit status 1 and its name", got)
	}
}

const valuesConfig = `
env: {NAME: berth}
apps:
  - {slug: up, url: "http://localhost:7080", healthcheck: {url: "http://127.0.0.1:7080/healthz", interval: 1, threshold: 1}}
  - {slug: down, url: "http://localhost:1", healthcheck: {url: "http://127.0.0.1:1/", interval: 1, threshold: 1}}
  - {slug: plain, command: top}
metadata:
  - {key: name, display_name: Name, script: echo $NAME, interval: 1}
  - {key: hangs, display_name: Hangs, script: sleep 100, interval: 1, timeout: 1}
`

// TestValuesAndApps shows what the agent finds out.
func TestValuesAndApps(t *testing.T) {
	m, _, token := configured(t, valuesConfig)
	m.server.StartAgent(m.host, m.server.URL, token)
	want := []string{"up, healthy: http://localhost:7080", "down, unhealthy", "plain\n", "Name: berth\n", "Hangs:  (ended after 1s, its time)"}
	eventually(t, "all that is found out", func() (string, bool) {
		got := m.user.MustRun("show", "ws")
		return got, !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(got, w) })
	})
}

// TestEnterGoesOnWithoutScripts waits at a terminal, sees what the scripts print,
// and does not wait any longer.
func TestEnterGoesOnWithoutScripts(t *testing.T) {
	m, _, token := configured(t, "startup_script_behavior: blocking\nstartup_script: echo preparing; sleep 1000")
	m.server.StartAgent(m.host, m.server.URL, token)
	s := m.user.screen(t, "ssh", "ws")
	s.mustShow("(Startup Script). Enter goes on without them.", patience)
	s.mustShow("] preparing", patience)
	s.typed("\r")
	s.typed("echo in-$((40+2)); exit\r")
	s.mustShow("in-42", patience)
	s.mustEnd(0)
}

// TestWaitingShowsThisStart waits for scripts without a terminal, in the agent's
// second life: it sees what they print now, not what they printed in the first.
func TestWaitingShowsThisStart(t *testing.T) {
	m, home, token := configured(t, "startup_script_behavior: blocking\nstartup_script: "+
		"echo >> ~/lives; echo life-$(wc -l < ~/lives); until [ -e ~/go-$(wc -l < ~/lives) ]; do sleep 0.02; done")
	touch(t, filepath.Join(home, "go-1"))
	first := m.server.StartAgent(m.host, m.server.URL, token)
	if r := m.user.Run(within(t, patience), "ssh", "ws", "--", "echo in"); r.Code != 0 || r.Stdout != "in\n" {
		t.Fatalf("coder ssh in the first life = %+v", r)
	}
	mustStop(t, first)
	m.server.StartAgent(m.host, m.server.URL, token)
	for _, args := range [][]string{{"ssh", "--stdio", "ws"}, {"ssh", "ws", "--", "echo in"}} {
		waiting := m.host.Start(m.user.Coder(t.Context(), args...))
		if _, err := waiting.WaitLine(within(t, patience), "life-2"); err != nil {
			t.Errorf("coder %q does not show what the scripts print: %v", args, err)
		}
		if out := waiting.Output(); strings.Contains(out, "life-1") {
			t.Errorf("coder %q shows what they printed before: %s", args, out)
		}
		if args[1] == "--stdio" {
			waiting.Kill9()
			continue
		}
		touch(t, filepath.Join(home, "go-2"))
		began := time.Now()
		if err := waiting.Wait(within(t, patience)); err != nil || !strings.HasSuffix(strings.TrimSpace(waiting.Output()), "\nin") {
			t.Errorf("coder %q = %v, %s", args, err, waiting.Output())
		}
		t.Logf("a login %v after the scripts", time.Since(began))
	}
}
