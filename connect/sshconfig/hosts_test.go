package sshconfig

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sshOption asks OpenSSH what it makes of an option for a host.
func sshOption(t *testing.T, config, host, option string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ssh", "-G", "-F", file, host).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh -G %s: %v\n%s with\n%s", host, err, out, config)
	}
	for line := range strings.Lines(string(out)) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key == option {
			return value
		}
	}
	return ""
}

func body(t *testing.T, h Hosts) string {
	t.Helper()
	text, err := h.Body()
	if err != nil {
		t.Fatalf("(%+v).Body() = %v", h, err)
	}
	return text
}

func TestOpenSSHLeadsHostsToTheCommand(t *testing.T) {
	config := "Host other\n\tUser x\n" + body(t, Hosts{
		Program: "/bin/coder", ConfigDir: "/c", Prefix: "coder.", Suffix: "coder",
		Options:       Options{Wait: "no", DisableAutostart: true, SSHOptions: []string{"ServerAliveInterval 7"}},
		ServerOptions: []string{"ServerAliveInterval=8", "ServerAliveCountMax=9"},
	})
	const command = "/bin/coder --global-config /c ssh --stdio --wait=no --disable-autostart=true "
	for host, want := range map[string]string{
		"ws.coder":             command + "--hostname-suffix coder '%h'",
		"main.ws.admin.coder":  command + "--hostname-suffix coder '%h'",
		"admin--ws--m.coder":   command + "--hostname-suffix coder '%h'",
		"coder.ws":             command + "--ssh-host-prefix coder. '%h'",
		"coder.main.ws.admin":  command + "--ssh-host-prefix coder. '%h'",
		"coder.ws.coder":       command + "--ssh-host-prefix coder. '%h'",
		"other":                "",
		"wscoder":              "",
		"coder":                "",
		"ws.coder.example.com": "",
	} {
		for name, text := range map[string]string{"LF": config, "CRLF": crlf(config)} {
			if got := sshOption(t, text, host, "proxycommand"); got != want {
				t.Errorf("ssh -G %s with %s: ProxyCommand %q, want %q", host, name, got, want)
			}
		}
	}
	for option, want := range map[string]string{
		"serveraliveinterval": "7", "serveralivecountmax": "9", // the user's wins
		"connecttimeout": "0", "stricthostkeychecking": "false", "userknownhostsfile": "/dev/null", "loglevel": "ERROR",
	} {
		if got := sshOption(t, config, "ws.coder", option); got != want {
			t.Errorf("ssh -G ws.coder: %s %q, want %q", option, got, want)
		}
	}
}

// TestOpenSSHTakesEveryServerOption has ssh read each option that a server may
// send: one that it does not take would stop it for every host.
func TestOpenSSHTakesEveryServerOption(t *testing.T) {
	samples := map[string]string{
		"compression": "yes", "connectionattempts": "3", "connecttimeout": "20m", "forwardagent": "no", "forwardx11": "no",
		"forwardx11trusted": "no", "loglevel": "DEBUG2", "requesttty": "force", "sendenv": "LANG LC_*", "serveralivecountmax": "0",
		"serveraliveinterval": "15s", "setenv": "A= B=c/d:e", "tcpkeepalive": "no", "user": "coder",
	}
	lines, refused := FromServer(samples)
	if len(lines) != len(fromServer) || refused != nil {
		t.Fatalf("FromServer takes %q and refuses %q, want a sample of all %d", lines, refused, len(fromServer))
	}
	config := body(t, Hosts{Program: "coder", ConfigDir: "/c", Suffix: "coder", ServerOptions: lines})
	if got := sshOption(t, config, "ws.coder", "serveraliveinterval"); got != "15" {
		t.Errorf("ssh -G with all of them: serveraliveinterval %q, want 15", got)
	}
}

// TestShellsRunTheCommand has OpenSSH run commands of awkward words, through
// the shells of users.
func TestShellsRunTheCommand(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"plain", "a space", "100% %h %%d", "it's", `say "hi"`, "$HOME `id` $(id)", `back\slash\`, "wörk", "a;b&c|d", "#tag", "~x", "-dash", "*?["} {
		program := filepath.Join(dir, name)
		script := "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" >" + "'" + filepath.Join(dir, "said") + "'\n"
		if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		options := Options{Header: []string{"k=" + name}, HeaderCommand: name}
		config := filepath.Join(dir, "config")
		text := body(t, Hosts{Program: program, ConfigDir: name, URL: "http://h", Suffix: "coder", Options: options})
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want := []string{program, "--global-config", name, "--url", "http://h", "--header", "k=" + name, "--header-command", name, "ssh", "--stdio", "--hostname-suffix", "coder", "ws.coder"}
		for _, shell := range []string{"/bin/sh", "/bin/bash"} {
			cmd := exec.Command("ssh", "-F", config, "ws.coder")
			cmd.Env = append(os.Environ(), "SHELL="+shell)
			out, _ := cmd.CombinedOutput() // the program is no SSH server
			said, err := os.ReadFile(filepath.Join(dir, "said"))
			if got := strings.Split(strings.TrimSuffix(string(said), "\n"), "\n"); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s of ssh ran %q (%v), want %q\n%s\n%s", shell, got, err, want, out, text)
			}
			_ = os.Remove(filepath.Join(dir, "said"))
		}
	}
}

func TestCommandsOfWindows(t *testing.T) {
	for word, want := range map[string]string{
		`C:\coder.exe`:                `C:\coder.exe`,
		`C:\Program Files\coder.exe`:  `"C:\Program Files\coder.exe"`,
		`C:\a b\`:                     `"C:\a b\\"`,
		`say "hi"`:                    `"say \"hi\""`,
		`\\" 100%`:                    `"\\\\\" 100%%"`,
		`C:/Program Files/it's/coder`: `"C:/Program Files/it's/coder"`,
		"":                            `""`,
	} {
		if got, err := command([]string{word}, true); got != want+` "%h"` || err != nil {
			t.Errorf("command(%q) = %s, %v; want %s", word, got, err, want)
		}
	}
}

func TestControlCharactersAreNoWords(t *testing.T) {
	for _, windows := range []bool{false, true} {
		for _, bad := range []string{"a\nb", "a\rb", "a\x00b", "a\tb", "a\x1b[0m"} {
			h := Hosts{Program: bad, ConfigDir: "/c", Suffix: "coder", Windows: windows}
			if text, err := h.Body(); err == nil {
				t.Errorf("Body with the program %q = %q, want an error", bad, text)
			}
		}
	}
}
