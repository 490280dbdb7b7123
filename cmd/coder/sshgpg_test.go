//go:build linux

package main

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// gpgHome is a keyring of this machine with one key, and the environment that
// uses it.
func gpgHome(t *testing.T, key string) (env []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gpg") // short, for the sockets in it
	if err != nil {
		t.Fatal(err)
	}
	env = []string{"GNUPGHOME=" + dir}
	t.Cleanup(func() {
		stopGPG(t, env)
		os.RemoveAll(dir)
	})
	if key != "" {
		must(t, env, "gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", key, "default", "default", "never")
	}
	return env
}

func stopGPG(t *testing.T, env []string) {
	t.Helper()
	must(t, env, "gpgconf", "--kill", "all")
}

// gpgWorkspace makes a workspace with an empty keyring and a gpg-agent that runs.
func (l *lab) gpgWorkspace(t *testing.T) {
	t.Helper()
	// After the end of the workspace, which may have our socket in place of its own.
	t.Cleanup(func() { stopGPG(t, []string{"GNUPGHOME=" + filepath.Join(l.dir, "home-ws", ".gnupg")}) })
	l.workspace(t, "ws")
	l.coder(t, "ssh", "ws", "--", "gpg --batch --quiet --list-keys && gpgconf --launch gpg-agent")
}

func TestGPGIsForwarded(t *testing.T) {
	l := newLab(t)
	l.gpgWorkspace(t)
	here := gpgHome(t, "me@example.com")
	dir := t.TempDir()

	out, errs, code := finish(t, l.command("ssh", "-G", "ws", "--", "echo text | gpg --batch --clearsign"), here...)
	if code != 0 {
		t.Fatalf("gpg --clearsign in the workspace = %d, %s", code, errs)
	}
	signed := filepath.Join(dir, "signed")
	if err := os.WriteFile(signed, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, here, "gpg", "--batch", "--verify", signed)

	secret := filepath.Join(dir, "secret")
	must(t, here, "sh", "-c", "echo secret | gpg --batch --encrypt --recipient me@example.com -o "+secret)
	cmd := l.command("ssh", "ws", "--", "gpg --batch --quiet --decrypt; gpg --list-keys")
	in, err := os.Open(secret)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd.Stdin = in
	out, errs, _ = finish(t, cmd, append(here, "CODER_SSH_FORWARD_GPG=1")...)
	if !strings.HasPrefix(out, "secret\n") || !strings.Contains(out, "[ultimate] me@example.com") {
		t.Errorf("decrypted in the workspace = %q, %q, want secret and my key with its trust", out, errs)
	}

	_, errs, code = finish(t, l.command("ssh", "ws", "--", "echo text | gpg --batch --clearsign"), here...)
	if code == 0 || !strings.Contains(errs, "No secret key") {
		t.Errorf("gpg without --forward-gpg = %d, %q, want no secret key", code, errs)
	}
}

// TestGPGOfWindowsIsForwarded has gpgconf name an emulated socket, as on Windows:
// behind it a gpg-agent answers whoever sends the nonce.
func TestGPGOfWindowsIsForwarded(t *testing.T) {
	l := newLab(t)
	l.gpgWorkspace(t)
	here := gpgHome(t, "me@example.com")
	real := strings.TrimSpace(must(t, here, "gpgconf", "--list-dirs", "agent-extra-socket"))
	const nonce = "\x00sixteen\nbytes\r\x1a"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var proxy sync.WaitGroup
	t.Cleanup(func() { ln.Close(); proxy.Wait() })
	proxy.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			proxy.Go(func() {
				defer conn.Close()
				got := make([]byte, len(nonce))
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != nonce {
					t.Errorf("the nonce is %q, %v, want %q", got, err, nonce)
					return
				}
				agent, err := net.Dial("unix", real)
				if err != nil {
					t.Error(err)
					return
				}
				proxy.Go(func() { io.Copy(agent, conn); agent.Close() })
				io.Copy(conn, agent)
			})
		}
	})
	dir := t.TempDir()
	emulated := filepath.Join(dir, "S.gpg-agent.extra")
	gpgconf, err := exec.LookPath("gpgconf")
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\ncase $* in *agent-extra-socket) printf '%s\\r\\n' " + emulated + " ;; *) exec " + gpgconf + ` "$@" ;; esac` + "\n"
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	if err := errors.Join(os.WriteFile(emulated, []byte(port+"\n"+nonce), 0o600), os.WriteFile(filepath.Join(dir, "gpgconf"), []byte(script), 0o700)); err != nil {
		t.Fatal(err)
	}
	path := "PATH=" + dir + ":" + os.Getenv("PATH")

	out, errs, code := finish(t, l.command("ssh", "-G", "ws", "--", "echo text | gpg --batch --clearsign"), append(here, path)...)
	if code != 0 || !strings.Contains(out, "BEGIN PGP SIGNATURE") {
		t.Fatalf("gpg --clearsign through an emulated socket = %d, %s%s", code, out, errs)
	}
	for name, content := range map[string]string{"nothing": "", "no port": "x\n" + nonce, "port 0": "0\n" + nonce, "a short nonce": port + "\nshort", "a long one": port + "\n" + nonce + "x"} {
		if err := os.WriteFile(emulated, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, errs, code := finish(t, l.command("ssh", "-G", "ws", "true"), append(here, path)...)
		if want := "does not answer on its extra socket: " + emulated + " is no socket of GnuPG"; code != 1 || !strings.Contains(errs, want) {
			t.Errorf("a socket with %s = %d, %q, want %q", name, code, errs, want)
		}
	}
}

// TestNewestGPGCounts opens a second session while the first has the socket; the
// end of the first does not take it away.
func TestNewestGPGCounts(t *testing.T) {
	l := newLab(t)
	l.gpgWorkspace(t)
	here := gpgHome(t, "me@example.com")
	t.Setenv("GNUPGHOME", strings.TrimPrefix(here[0], "GNUPGHOME="))
	sign := "echo text | gpg --batch --clearsign >/dev/null 2>&1 && echo signed-$((1+1))\r"
	first := l.shell(t, "-G", "ws")
	first.enter(sign)
	first.expect(`signed-2`)
	second := l.shell(t, "-G", "ws")
	second.enter(sign)
	second.expect(`signed-2`)
	first.enter("exit 0\r")
	if got := first.wait(); got != 0 {
		t.Errorf("the first shell ends with %d, want 0", got)
	}
	second.enter(sign)
	second.expect(`signed-2`)
	// One whose client dies without a word does not stop the next.
	second.cmd.Process.Kill()
	second.wait()
	third := l.shell(t, "-G", "ws")
	third.enter(sign)
	third.expect(`signed-2`)
}

func TestGPGThatIsNotThere(t *testing.T) {
	l := newLab(t)
	without := t.TempDir()
	for _, name := range []string{"sh", "cat", "mkdir", "chmod", "dirname", "rm", "echo", "coder"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(without, name)); err != nil {
			t.Fatal(err)
		}
	}
	here := gpgHome(t, "me@example.com")
	l.workspace(t, "ws", "PATH="+without)
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"here":      {append(here, "PATH="+without), "gpgconf is not installed on this machine"},
		"there":     {here, "gpg is not installed in the workspace"},
		"key":       {gpgHome(t, ""), "gpg has no keys on this machine"},
		"directory": {[]string{"GNUPGHOME=/nowhere"}, "--forward-gpg: gpgconf gpg-agent: exit status"},
	} {
		_, errs, code := finish(t, l.command("ssh", "-G", "ws", "true"), c.env...)
		if !strings.Contains(errs, "error: --forward-gpg: ") || !strings.Contains(errs, c.want) || code != 1 {
			t.Errorf("ssh -G without a %s = %d, %q, want 1 and %q", name, code, errs, c.want)
		}
	}
}
