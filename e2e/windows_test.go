//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berthdev/berth/tailnet/netlab"
)

// onWindows is what a user of Windows has.
type onWindows struct {
	*place
	drive string // C:
}

// TestOnWindows runs coder.exe as a user of Windows does: one Windows for all that
// they do, because to start one takes as long as everything else.
func TestOnWindows(t *testing.T) {
	w := &onWindows{place: newPlace(t, netlab.EasyNAT, netlab.EasyNAT)}
	token := strings.TrimSpace(w.user.MustRun("login", "token"))
	w.user, w.drive = w.OnWindows(w.client)
	w.user.MustRun("login", w.server.URL, "--token", token)
	for _, does := range []func(*testing.T){
		w.session, w.command, w.relayed, w.terminal, w.configSSH, w.rights, w.openSSH, w.forwardAgent, w.portForward, w.headerCommand, w.doctor, w.link, w.completion, w.logout,
	} {
		does(t)
	}
}

// keyring is what the Credential Manager has of ours.
func (w *onWindows) keyring(t *testing.T) string {
	t.Helper()
	r := w.Run(w.user.OpenSSH(within(t, patience), wine, "reg", "query", `HKCU\Software\Wine\Credential Manager`, "/s"))
	if r.Code != 0 {
		t.Fatalf("look into the Credential Manager: %s%s", r.Stdout, r.Stderr)
	}
	_, entry, _ := strings.Cut(r.Stdout, "Generic: berth:")
	host, _, _ := strings.Cut(entry, "\r\n")
	return host
}

// session is in the Credential Manager, unless a file is wanted.
func (w *onWindows) session(t *testing.T) {
	if got, want := w.keyring(t), strings.TrimPrefix(w.server.URL, "http://"); got != want {
		t.Errorf("the Credential Manager has a session for %q, want %q", got, want)
	}
	config, _ := filepath.Glob(filepath.Join(w.drive, "users", "*", "AppData", "Roaming", "coderv2", "*"))
	if len(config) != 1 || filepath.Base(config[0]) != "url" {
		t.Errorf("coderv2 has the files %q, want url alone", config)
	}
	if got, want := w.user.MustRun("whoami"), "You are signed in to "+w.server.URL+" as admin.\n"; got != want {
		t.Errorf("whoami = %q, want %q", got, want)
	}
	token := strings.TrimSpace(w.user.MustRun("login", "token"))
	w.user.MustRun("--global-config", `C:\of an editor`, "login", w.server.URL, "--token", token)
	stored, err := os.ReadFile(filepath.Join(w.drive, "of an editor", "session"))
	if got := strings.TrimSpace(string(stored)); err != nil || got == "" || got == token {
		t.Errorf("the file of another login has the session %q, %v; want a new one", got, err)
	}
	if r := w.user.Run(within(t, patience), "--use-keyring=false", "whoami"); r.Code != 1 || !strings.Contains(r.Stderr, "not signed in") {
		t.Errorf("whoami --use-keyring=false = %d, %s%s; want to be signed in by the keyring only", r.Code, r.Stdout, r.Stderr)
	}
}

func (w *onWindows) command(t *testing.T) {
	sent := bytes.Repeat([]byte("all\x00bytes\r\n\x1a"), 100_000)
	cmd := w.user.Coder(within(t, patience), "ssh", "ws", "--", "cat; echo two >&2; exit 7")
	cmd.Stdin = bytes.NewReader(sent)
	if r := w.Run(cmd); r.Code != 7 || r.Stderr != "two\n" || r.Stdout != string(sent) {
		t.Errorf("the command = %d with %d bytes and %q, want 7, %d and two", r.Code, len(r.Stdout), r.Stderr, len(sent))
	}
}

// relayed moves more than small packets through the relay, which carries larger ones
// than WireGuard has room for on Windows.
func (w *onWindows) relayed(t *testing.T) {
	const size = 3_000_000
	cmd := w.user.Coder(within(t, patience), "--disable-direct-connections", "ssh", "ws", "--", fmt.Sprintf("wc -c >&2; head -c %d /dev/zero", size))
	cmd.Stdin = bytes.NewReader(make([]byte, size))
	if r := w.Run(cmd); r.Code != 0 || r.Stderr != fmt.Sprintln(size) || len(r.Stdout) != size {
		t.Errorf("%d bytes each way through the relay = %d with %d bytes, and %q there", size, r.Code, len(r.Stdout), r.Stderr)
	}
}

// terminal is raw: its program gets each key, also those that mean something to
// consoles, like Ctrl-Z.
func (w *onWindows) terminal(t *testing.T) {
	s := w.user.screen(t, "ssh", "ws")
	s.typed("PS1=; echo in-$((40+2)) $(stty size)\r")
	s.mustShow("in-42 24 80", patience)
	// Wine leaves the terminal that it runs in as it is; Ctrl-C it does not pass on.
	if out, err := exec.Command("stty", "-F", fmt.Sprintf("/proc/%d/fd/0", s.cmd.Process.Pid), "raw", "-echo").CombinedOutput(); err != nil {
		t.Fatalf("make the terminal of Wine raw: %v\n%s", err, out)
	}
	s.typed("stty raw -echo; echo rea\\dy; head -c 3 | od -An -tx1; stty sane\r")
	s.mustShow("ready", patience)
	s.typed("\x1a\x04\r")
	s.mustShow("1a 04 0d", patience)
	s.typed("echo ä€ | od -An -tx1; exit 5\r")
	s.mustShow("c3 a4 e2 82 ac 0a", patience)
	s.mustEnd(5)
}

// configSSH replaces a file that is there, and keeps how its lines end.
func (w *onWindows) configSSH(t *testing.T) {
	homes, err := filepath.Glob(filepath.Join(w.drive, "users", "*", "AppData"))
	if err != nil || len(homes) != 1 {
		t.Fatalf("the user's directory is one of %q, %v", homes, err)
	}
	file := filepath.Join(filepath.Dir(homes[0]), ".ssh", "config")
	const others = "Host other\r\n\tUser me\r\n"
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(others), 0o600)); err != nil {
		t.Fatal(err)
	}
	diff := w.user.MustRun("config-ssh", "--dry-run")
	want := `ProxyCommand "C:\Program Files\Berth\coder.exe" --url ` + w.server.URL + ` ssh --stdio --hostname-suffix coder "%h"` + "\r\n"
	if !strings.Contains(diff, "+\t"+want) {
		t.Errorf("config-ssh --dry-run shows\n%s, want %s", diff, want)
	}
	w.user.MustRun("config-ssh", "--yes")
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), others) || !strings.Contains(string(text), want) {
		t.Errorf("the configuration is %q, %v; want one with %q", text, err, want)
	}
	w.user.MustRun("--header-command", `echo X-First="a b"`, "config-ssh", "--yes", "--force-unix-filepaths")
	want = `'C:/Program Files/Berth/coder.exe' --url ` + w.server.URL + ` --header-command 'echo X-First="a b"' ssh`
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
		t.Errorf("with --force-unix-filepaths the configuration is %q, %v; want one with %q", text, err, want)
	}
	w.user.MustRun("config-ssh", "--yes", "--remove")
	if text, err := os.ReadFile(file); err != nil || string(text) != others {
		t.Errorf("after --remove the configuration is %q, %v", text, err)
	}
	if all, err := os.ReadDir(filepath.Dir(file)); err != nil || len(all) != 1 {
		t.Errorf("besides the configuration there is something: %v, %v", all, err)
	}
}

// rights runs the tests of what only Windows can tell.
func (w *onWindows) rights(t *testing.T) {
	tests, err := buildForWine(w.Dir("exe"), "sshconfig.test.exe", "test", "-c", "./connect/sshconfig")
	if err != nil {
		t.Fatal(err)
	}
	if r := w.Run(w.user.OpenSSH(within(t, patience), wine, tests, "-test.run", "TestReplaceKeepsRights")); r.Code != 0 || !strings.Contains(r.Stdout, "PASS") {
		t.Errorf("tests of sshconfig on Windows = %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// openSSH goes through ssh --stdio, with the files that editors look for.
func (w *onWindows) openSSH(t *testing.T) {
	dir := filepath.Join(w.drive, "logs of it")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("all\x00bytes\r\n\x1a"), 500_000)
	proxy := w.user.world.binary + ` ssh --stdio --log-dir 'C:\logs of it' --network-info-dir 'C:\logs of it' %h`
	cmd := w.user.OpenSSH(within(t, patience), "ssh", append([]string{"-o", "ProxyCommand=" + proxy}, append(w.user.SSHOptions(), "ws", "cat; exit 7")...)...)
	cmd.Stdin = bytes.NewReader(sent)
	if r := w.Run(cmd); r.Code != 7 || r.Stdout != string(sent) {
		t.Errorf("ssh = %d with %d bytes, want 7 with %d\n%s", r.Code, len(r.Stdout), len(sent), r.Stderr)
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "coder-ssh-*.log"))
	infos, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	if len(logs) != 1 || len(infos) != 1 || !strings.HasSuffix(logs[0], "-"+strings.TrimSuffix(filepath.Base(infos[0]), ".json")+".log") {
		t.Errorf("there are the logs %q and what is known of the path %q, want one each of the same process", logs, infos)
	}
}

func (w *onWindows) portForward(t *testing.T) {
	ln, err := w.box.Listen("tcp", "127.0.0.1:9000")
	serve(t, ln, err, afterTheEnd("box"))
	echo, err := w.box.ListenPacket("udp", "127.0.0.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	var echoing sync.WaitGroup
	echoing.Go(func() { echoPackets(echo) })
	t.Cleanup(func() { echo.Close(); echoing.Wait() })
	w.forward(t, "--tcp", "9000,9001", "--udp", "9000")
	for _, at := range []string{"127.0.0.1:9000", "[::1]:9000"} {
		if got, err := ask(within(t, patience), w.client, "tcp", at, "hello"); got != "box got hello" || err != nil {
			t.Errorf("through %s = %q, %v", at, got, err)
		}
	}
	if got, err := ask(within(t, patience), w.client, "tcp", "127.0.0.1:9001", "hello"); err == nil {
		t.Errorf("a port on which nobody listens says %q, want a reset", got)
	}
	conn, err := w.client.Dial(within(t, patience), "udp", "127.0.0.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, size := range []int{1, 1400, 60_000} {
		sent := bytes.Repeat([]byte{'x'}, size)
		if got, err := echoed(conn, sent); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("a datagram of %d bytes came back as %d, %v", size, len(got), err)
		}
	}
}

func echoPackets(pc net.PacketConn) {
	buf := make([]byte, 65535)
	for {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = pc.WriteTo(buf[:n], from)
	}
}

// headerCommand is taken by cmd.exe as somebody types it there.
func (w *onWindows) headerCommand(t *testing.T) {
	ln, err := w.client.Listen("tcp", "127.0.0.1:8000")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan http.Header, 10)
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got <- r.Header
		rw.WriteHeader(http.StatusUnauthorized)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	defer serving.Wait()
	defer server.Close()
	script := "@echo off\r\necho X-First=%~1\r\necho X-Second=%~2\r\n"
	if err := os.WriteFile(filepath.Join(w.drive, "Program Files", "get.bat"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string][]string{
		`"C:\Program Files\get.bat" one "two three"`:       {"one", "two three"},
		`echo X-First="a b"& echo X-Second=%CODER_URL%`:    {`"a b"`, "http://127.0.0.1:8000"},
		`"C:\Program Files\get.bat" "C:\a b\" %CODER_URL%`: {`C:\a b\`, "http://127.0.0.1:8000"},
	} {
		r := w.user.Run(within(t, patience), "--url", "http://127.0.0.1:8000", "--token", "a-b", "--header-command", command, "whoami")
		select {
		case h := <-got:
			if all := []string{h.Get("X-First"), h.Get("X-Second")}; !slices.Equal(all, want) {
				t.Errorf("%s gives the headers %q, want %q", command, all, want)
			}
		default:
			t.Errorf("with %s nobody asked: %s", command, r.Stderr)
		}
	}
}

func (w *onWindows) doctor(t *testing.T) {
	if got := w.user.MustRun("doctor", "ws"); strings.Contains(got, "FAIL") || !strings.Contains(got, "ok    path      answers") {
		t.Errorf("coder doctor says\n%s", got)
	}
	w.user.MustRun("support", "bundle", "ws", "--yes", "--output-file", `C:\of an editor\bundle.zip`)
	if out, err := exec.Command("unzip", "-tq", filepath.Join(w.drive, "of an editor", "bundle.zip")).CombinedOutput(); err != nil {
		t.Errorf("the bundle: %v\n%s", err, out)
	}
	if got, want := w.user.Run(within(t, patience), "netcheck"), `"severity": "ok"`; got.Code != 0 || !strings.Contains(got.Stdout, want) {
		t.Errorf("netcheck = %d, %s%s; want %s", got.Code, got.Stdout, got.Stderr, want)
	}
}

// link is printed where nothing opens it.
func (w *onWindows) link(t *testing.T) {
	r := w.user.Run(within(t, patience), "open", "vscode", "ws", "/srv")
	if r.Code != 0 || !strings.HasPrefix(r.Stdout, "vscode://coder.coder-remote/open?") || !strings.Contains(r.Stderr, "Nothing here opens links") {
		t.Errorf("open vscode = %d, %q, %q; want the link", r.Code, r.Stdout, r.Stderr)
	}
}

// completion is for PowerShell where no shell says that it is another.
func (w *onWindows) completion(t *testing.T) {
	cmd := w.user.Coder(within(t, patience), "completion")
	if r := w.Run(cmd); r.Code != 0 || !strings.Contains(r.Stdout, "Register-ArgumentCompleter") {
		t.Errorf("completion = %d, %.200s%s; want that of PowerShell", r.Code, r.Stdout, r.Stderr)
	}
}

func (w *onWindows) logout(t *testing.T) {
	w.user.MustRun("logout", "--yes")
	if got := w.keyring(t); got != "" {
		t.Errorf("after the logout the Credential Manager has a session for %q", got)
	}
	if r := w.user.Run(within(t, patience), "whoami"); r.Code != 1 || r.Stderr != "error: you are not signed in\nhint: coder login <url>\n" {
		t.Errorf("whoami after the logout = %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
}
