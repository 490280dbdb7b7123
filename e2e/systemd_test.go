//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// service is an agent that systemd runs as its unit says.
type service struct {
	*machine
	systemd *Systemd
}

// newService installs the unit as docs/agent.md says and starts it. The user is
// one that the machine gets for it.
func newService(t *testing.T) *service {
	t.Helper()
	s := &service{machine: newQuietMachine(t)}
	s.install(t)
	return s
}

func (s *service) install(t *testing.T) {
	t.Helper()
	s.systemd = s.Boot(s.host)
	unit, err := os.ReadFile("../images/systemd/coder-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	s.systemd.MustRun("useradd", "--create-home", "--shell", "/bin/bash", "coder")
	s.systemd.MustRun("install", "-m", "755", coder, "/usr/local/bin/coder")
	s.systemd.Write("/etc/systemd/system/coder-agent.service", string(unit))
	s.systemd.Write("/etc/coder-agent.env", fmt.Sprintf("CODER_AGENT_URL=%s\nCODER_AGENT_TOKEN=%s\n", s.server.URL, s.server.Create("ws")))
	s.keepLog(t)
	s.systemd.MustRun("systemctl", "enable", "--now", "coder-agent")
}

// keepLog has the agent's log in a file that outlives the machine, and shows it
// when the test fails.
func (s *service) keepLog(t *testing.T) {
	t.Helper()
	path := filepath.Join(s.Dir(s.host.Name()+"-systemd"), "agent.log")
	s.systemd.MustRun("mkdir", "/etc/systemd/system/coder-agent.service.d")
	s.systemd.Write("/etc/systemd/system/coder-agent.service.d/log.conf", "[Service]\nStandardError=append:"+path+"\n")
	t.Cleanup(func() {
		if t.Failed() {
			log, err := os.ReadFile(path)
			t.Logf("the agent's log (%v):\n%s", err, log)
		}
	})
}

func (s *service) show(property string) string {
	return strings.TrimPrefix(s.systemd.MustRun("systemctl", "show", "coder-agent", "--property", property), property+"=")
}

// mustBe waits until systemd shows that of the unit.
func (s *service) mustBe(t *testing.T, property, want string) {
	t.Helper()
	eventually(t, property+" "+want, func() (string, bool) {
		got := s.show(property)
		return got, strings.Contains(got, want)
	})
}

// TestServiceOfSystemd lives through what systemd does to a service: sessions
// and terminals do not notice.
func TestServiceOfSystemd(t *testing.T) {
	s := newService(t)
	s.mustBe(t, "StatusText", "connected to "+s.server.URL+" as ws")
	shell := s.user.Shell("ws")
	screen := s.user.screen(t, "terminal", "attach", "ws")
	screen.typed("echo terminal-$((20+22))\r")
	screen.mustShow("terminal-42", patience)
	command := make(chan Result, 1)
	go func() {
		command <- s.user.Run(within(t, patience), "ssh", "ws", "--", "touch ~/begun; until [ -e ~/stop ]; do sleep 0.05; done; echo ended")
	}()
	eventually(t, "the command", func() (string, bool) { return "", s.systemd.Run("ls", "/home/coder/begun").Code == 0 })

	for what, do := range map[string][]string{
		"restart": {"systemctl", "restart", "coder-agent"},
		"crash":   {"systemctl", "kill", "--signal", "KILL", "--kill-who", "main", "coder-agent"},
	} {
		before := s.show("MainPID")
		s.systemd.MustRun(do[0], do[1:]...)
		eventually(t, "another agent after a "+what, func() (string, bool) {
			now := s.show("MainPID")
			return now, now != before && now != "0"
		})
		s.mustBe(t, "StatusText", "connected to ")
		shell.MustAwait(patience)
		screen.typed("echo after-" + what + "-$((1+1))\r")
		screen.mustShow("after-"+what+"-2", patience)
	}
	s.systemd.MustRun("touch", "/home/coder/stop")
	if got := <-command; got.Code != 0 || got.Stdout != "ended\n" {
		t.Errorf("a command that ran all the time = %+v, want it to end by itself", got)
	}

	s.systemd.MustRun("loginctl", "enable-linger", "coder")
	runtime := "/run/user/" + s.systemd.MustRun("id", "-u", "coder")
	eventually(t, runtime, func() (string, bool) { return "", s.systemd.Run("ls", runtime+"/systemd").Code == 0 })
	env := s.user.MustRun("ssh", "ws", "--", "env; cat /proc/self/oom_score_adj; id -un")
	for _, private := range []string{"NOTIFY_SOCKET", "WATCHDOG_"} {
		if strings.Contains(env, private) {
			t.Errorf("%s is in the environment of a session", private)
		}
	}
	if !strings.Contains(env, "XDG_RUNTIME_DIR="+runtime+"\n") {
		t.Errorf("environment of a session = %q, want XDG_RUNTIME_DIR=%s in it", env, runtime)
	}
	if !strings.HasSuffix(env, "\n0\ncoder\n") {
		t.Errorf("a session's oom_score_adj and user = %q, want 0 and coder", env)
	}
	// A machine without CAP_SYS_RESOURCE cannot make it less than it is.
	want := s.systemd.MustRun("systemd-run", "--wait", "--pipe", "--quiet", "-p", "OOMScoreAdjust=-500", "cat", "/proc/self/oom_score_adj")
	if got := s.systemd.MustRun("cat", "/proc/"+s.show("MainPID")+"/oom_score_adj"); got != want {
		t.Errorf("oom_score_adj of the agent = %s, want that of a service with -500: %s", got, want)
	}
}

// TestServiceHangs stops the agent as a deadlock would: the watchdog notices.
func TestServiceHangs(t *testing.T) {
	s := newService(t)
	s.systemd.MustRun("mkdir", "-p", "/etc/systemd/system/coder-agent.service.d")
	s.systemd.Write("/etc/systemd/system/coder-agent.service.d/watchdog.conf", "[Service]\nWatchdogSec=1s\n")
	s.systemd.MustRun("systemctl", "daemon-reload")
	s.systemd.MustRun("systemctl", "restart", "coder-agent")
	s.mustBe(t, "StatusText", "connected to ")
	shell := s.user.Shell("ws")
	hung := s.show("MainPID")
	s.systemd.MustRun("kill", "-STOP", hung)
	eventually(t, "another agent", func() (string, bool) {
		now := s.show("MainPID")
		return now, now != hung && now != "0"
	})
	shell.MustAwait(patience)
}

// TestServiceGivesUp gives an agent a token that cannot work any more.
func TestServiceGivesUp(t *testing.T) {
	s := newService(t)
	s.mustBe(t, "StatusText", "connected to ")
	s.user.MustRun("delete", "ws", "--yes")
	s.mustBe(t, "ActiveState", "failed")
	if got := s.show("ExecMainStatus"); got != "78" {
		t.Errorf("exit status of the agent = %s, want 78", got)
	}
	if got := s.show("NRestarts"); got != "0" {
		t.Errorf("the agent was started again %s times, want never", got)
	}
}

// TestServiceStops stops the machine: everything ends well before systemd would
// have to kill it, and the server is told.
func TestServiceStops(t *testing.T) {
	s := newService(t)
	s.mustBe(t, "StatusText", "connected to ")
	shell := s.user.Shell("ws")
	s.systemd.MustRun("systemctl", "poweroff", "--no-block")
	if err := shell.Wait(within(t, patience)); err == nil {
		t.Error("the shell ended well, want it lost with its machine")
	}
	eventually(t, "state of the agent off", func() (string, bool) {
		got := s.user.MustRun("show", "ws", "-o", "json")
		return got, strings.Contains(got, `"lifecycle_state": "off"`)
	})
}

// eventually asks again and again until what it is told is so: no connection
// tells of it.
func eventually(t *testing.T, what string, is func() (got string, ok bool)) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		got, ok := is()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for %s; it is %s", patience, what, got)
		}
	}
}
