//go:build linux

package e2e

import (
	"os"
	"testing"
)

// TestHomePersistOfSystemd installs the units as docs/home-persist.md says and
// lives through a start, a program that saves by a rename, and a stop.
func TestHomePersistOfSystemd(t *testing.T) {
	w := newWorld(t)
	machine := w.Boot(w.Host("machine"))
	for _, name := range []string{"home-persist", "home-persist-watch"} {
		unit, err := os.ReadFile("../images/systemd/" + name + ".service")
		if err != nil {
			t.Fatal(err)
		}
		machine.Write("/etc/systemd/system/"+name+".service", string(unit))
	}
	machine.MustRun("useradd", "--create-home", "--shell", "/bin/bash", "coder")
	machine.MustRun("install", "-m", "755", coder, "/usr/local/bin/coder")
	machine.MustRun("mkdir", "-p", "/mnt/home-persist", "/etc/home-persist.d")
	machine.Write("/etc/home-persist.d/tool.json", `{"source": "tool", "paths": [".toolrc", ".tool/"]}`)
	machine.Write("/etc/home-persist.d/own.json", `{"source": "own", "scope": "workspace", "paths": [".own/"]}`)
	machine.Write("/etc/home-persist.env", "CODER_WORKSPACE_ID=ws-1\n")
	machine.MustRun("chmod", "-R", "a+rX", "/etc/home-persist.d")
	asCoder := func(script string) string { return machine.MustRun("su", "-", "coder", "-c", script) }
	asCoder("echo one >.toolrc")

	machine.MustRun("systemctl", "start", "home-persist") // 3, no volume, is no failure
	if got := asCoder("cat .toolrc; ls -d .tool 2>&1 || :"); got != "one\nls: cannot access '.tool': No such file or directory" {
		t.Errorf("home without a volume = %q, want it as it was", got)
	}
	machine.MustRun("systemctl", "stop", "home-persist")
	machine.MustRun("mount", "-t", "tmpfs", "-o", "uid=coder,mode=700", "tmpfs", "/mnt/home-persist")
	machine.MustRun("systemctl", "start", "home-persist", "home-persist-watch")
	if got, want := asCoder("readlink .toolrc .tool .own; cat .toolrc"), "/mnt/home-persist/.toolrc\n/mnt/home-persist/.tool\n/mnt/home-persist/.workspaces/ws-1/.own\none"; got != want {
		t.Errorf("links of the home = %q, want %q", got, want)
	}

	asCoder("sed -i s/one/two/ .toolrc")
	eventually(t, "the watch to take the file back", func() (string, bool) {
		r := machine.Run("readlink", "/home/coder/.toolrc")
		return r.Stdout, r.Code == 0
	})
	if got := machine.MustRun("cat", "/mnt/home-persist/.toolrc"); got != "two" {
		t.Errorf("the volume has %q, want what the program saved", got)
	}

	machine.MustRun("systemctl", "stop", "home-persist-watch")
	asCoder("sed -i s/two/three/ .toolrc")
	machine.MustRun("systemctl", "stop", "home-persist")
	if got := machine.MustRun("cat", "/mnt/home-persist/.toolrc"); got != "three" {
		t.Errorf("after the stop the volume has %q, want what was saved just before it", got)
	}
	for _, unit := range []string{"home-persist", "home-persist-watch"} {
		if r := machine.Run("systemctl", "is-failed", unit); r.Code == 0 {
			t.Errorf("%s failed:\n%s", unit, machine.Run("journalctl", "--no-pager", "-u", unit).Stdout)
		}
	}
}
