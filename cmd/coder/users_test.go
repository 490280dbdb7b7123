//go:build linux

package main

import (
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// answering runs a command at a terminal and answers its questions; each of them
// is waited for.
func answering(t *testing.T, cmd *exec.Cmd, answers ...[2]string) string {
	t.Helper()
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	var shown strings.Builder
	rest := ""
	buf := make([]byte, 4096)
	for _, qa := range answers {
		for !strings.Contains(rest, qa[0]) {
			n, err := tty.Read(buf)
			if err != nil {
				t.Fatalf("%s ended before it asked %q:\n%s", cmd, qa[0], &shown)
			}
			shown.Write(buf[:n])
			rest += string(buf[:n])
		}
		_, rest, _ = strings.Cut(rest, qa[0])
		if _, err := io.WriteString(tty, qa[1]+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = io.Copy(&shown, tty) // Linux ends it with EIO
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &shown)
	}
	return shown.String()
}

func TestUsersCreateAsks(t *testing.T) {
	l := newLab(t)
	out := answering(t, l.command("users", "create", "-e", "ann@example.com"),
		[2]string{"Username: ", "ann"}, [2]string{"Password: ", labPassword}, [2]string{"Password again: ", "other"},
		[2]string{"Password: ", labPassword}, [2]string{"Password again: ", labPassword})
	if !strings.Contains(out, `User "ann" is created.`) {
		t.Errorf("users create shows %q, want that the user is created", out)
	}
	if out := answering(t, l.command("users", "suspend", "ann"), [2]string{"[y/N]: ", "y"}); !strings.Contains(out, `User "ann" is suspended.`) {
		t.Errorf("users suspend shows %q", out)
	}
	if out := l.coder(t, "users", "show", "ann", "-c", "username,status"); out != "USERNAME  STATUS\nann       suspended\n" {
		t.Errorf("users show prints %q", out)
	}
	if out := answering(t, l.command("users", "edit-roles", "ann"), [2]string{"Roles of ann: ", "auditor, user-admin"}); !strings.Contains(out, "are changed") {
		t.Errorf("users edit-roles shows %q", out)
	}
}

// TestSuspensionHangsUp suspends a user who is in a workspace: the session ends,
// and so does the client.
func TestSuspensionHangsUp(t *testing.T) {
	l := newLab(t)
	l.coder(t, "users", "create", "-u", "ann", "-e", "ann@example.com", "-p", labPassword)
	admin, ann := l.configDir(), l.dir+"/ann"
	l.coder(t, "login", l.url, "--global-config", ann, "--first-user-username", "ann", "--first-user-email", "ann@example.com", "--first-user-password", labPassword)
	l.config = ann
	l.workspace(t, "hers")
	cmd := l.command("ssh", "hers", "--", "echo here; cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, len("here\n"))); err != nil {
		t.Fatalf("ssh: %v\n%s", err, &errs)
	}
	l.config = admin
	l.coder(t, "users", "suspend", "ann", "--yes")
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 255 || !strings.Contains(errs.String(), "User is not active") {
		t.Errorf("ssh of a suspended user ended with %v, stderr %q, want status 255 and why", err, &errs)
	}
}
