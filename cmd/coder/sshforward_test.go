//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// finish runs a command with more environment and returns what it printed.
func finish(t *testing.T, cmd *exec.Cmd, env ...string) (out, errs string, code int) {
	t.Helper()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// must runs a program that has to succeed and returns its output.
func must(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	out, errs, code := finish(t, exec.Command(name, args...), env...)
	if code != 0 {
		t.Fatalf("%s %q ends with %d: %s", name, args, code, errs)
	}
	return out
}

// startAgent runs an ssh-agent that holds one key and returns its socket.
func startAgent(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	socket, key := filepath.Join(dir, "s"), filepath.Join(dir, "key")
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal("OpenSSH's agent is missing: install openssh-client: ", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	eventually(t, func() error {
		_, err := os.Stat(socket)
		return err
	})
	must(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the key", "-f", key)
	must(t, []string{"SSH_AUTH_SOCK=" + socket}, "ssh-add", "-q", key)
	return socket
}

func TestAgentIsForwarded(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	socket := startAgent(t)
	sock := "SSH_AUTH_SOCK=" + socket
	want := must(t, []string{sock}, "ssh-add", "-l")
	for name, c := range map[string]struct {
		env, args []string
	}{
		"flag":        {[]string{sock}, []string{"-A"}},
		"environment": {[]string{sock, "CODER_SSH_FORWARD_AGENT=true"}, nil},
		"named":       {[]string{"SSH_AUTH_SOCK=/nowhere"}, []string{"-A", "--identity-agent", socket}},
		"named by environment": {
			[]string{"SSH_AUTH_SOCK=/nowhere", "CODER_SSH_IDENTITY_AGENT=" + socket}, []string{"-A"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := l.command(append(append([]string{"ssh"}, c.args...), "ws", "--", "ssh-add -l")...)
			if out, errs, code := finish(t, cmd, c.env...); out != want || code != 0 {
				t.Errorf("ssh-add -l in the workspace = %q, %q, %d, want %q", out, errs, code, want)
			}
		})
	}
	out, _, _ := finish(t, l.command("ssh", "ws", "--", "ssh-add -l"), sock)
	if out != "" {
		t.Errorf("ssh-add -l without --forward-agent = %q, want nothing", out)
	}
}

func TestAgentThatIsNotThere(t *testing.T) {
	l := newLab(t)
	dead := filepath.Join(t.TempDir(), "dead")
	ln, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	for env, want := range map[string]string{
		"SSH_AUTH_SOCK=":                    "SSH_AUTH_SOCK is not set",
		"SSH_AUTH_SOCK=/nowhere":            "the SSH agent of SSH_AUTH_SOCK does not answer: dial unix /nowhere: connect: no such file",
		"SSH_AUTH_SOCK=" + dead:             "connection refused",
		"CODER_SSH_IDENTITY_AGENT=/nowhere": "the SSH agent of --identity-agent does not answer",
	} {
		_, errs, code := finish(t, l.command("ssh", "-A", "ws"), env)
		if !strings.Contains(errs, want) || !strings.Contains(errs, "hint: ") || code != 1 {
			t.Errorf("ssh -A with %s = %d, %q, want 1, %q and a hint", env, code, errs, want)
		}
	}
}

// TestForwardsOutliveTheConnection kills the network half of the agent, which cuts
// what carries the session, and starts the next: the agent answers again, and a
// connection that was open goes on.
func TestForwardsOutliveTheConnection(t *testing.T) {
	l := newLab(t)
	workspace := l.workspace(t, "ws")
	socket := startAgent(t)
	t.Setenv("SSH_AUTH_SOCK", socket)
	near := listenTCP(t, func(conn *net.TCPConn) { io.Copy(conn, conn) })
	s := l.shell(t, "-A", "-R", "0:"+near, "ws")
	port := strings.Fields(s.expect(`Port [0-9]+ of`))[1]
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mustEcho := func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		io.WriteString(conn, text)
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
			t.Fatalf("the open connection gives %q, %v, want %q", got, err, text)
		}
	}
	s.enter("ssh-add -l\r")
	s.expect(`256 SHA256:\S+ the key`)
	mustEcho("before")
	for i := range 3 {
		workspace.stop(syscall.SIGKILL)
		workspace, _ = start(t, workspace.cmd.Env, "agent")
		mustEcho(fmt.Sprint("after ", i))
		s.enter("ssh-add -l\r")
		s.expect(`256 SHA256:\S+ the key`)
	}
	s.enter("exit\r")
	if got := s.wait(); got != 0 {
		t.Errorf("the shell ends with %d, want 0", got)
	}
}

// TestForwardsComeBackAfterACrash kills a client, whose session waits for it for days.
// The next has the port that it asked for.
func TestForwardsComeBackAfterACrash(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	near := listenTCP(t, func(c *net.TCPConn) { io.WriteString(c, "here") })
	s := l.shell(t, "-R", "0:"+near, "ws")
	port := strings.Fields(s.expect(`Port [0-9]+ of`))[1]
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.wait()
	out, errs, code := finish(t, l.command("ssh", "-R", port+":"+near, "ws", "--", "bash -c 'cat < /dev/tcp/127.0.0.1/"+port+"'"))
	if out != "here" || code != 0 {
		t.Errorf("ssh -R %s after a crash = %d, %q, %q; want what the port here says", port, code, out, errs)
	}
}

// listenTCP serves a port of this machine until the test ends and returns its
// address.
func listenTCP(t *testing.T, handle func(*net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, func(c net.Conn) { handle(c.(*net.TCPConn)) })
	return ln.Addr().String()
}

func serve(t *testing.T, ln net.Listener, handle func(net.Conn)) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); cancel(); all.Wait() })
}

func TestPortsAndSocketsAreForwarded(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	greet := func(conn net.Conn) {
		heard, _ := io.ReadAll(conn)
		fmt.Fprintf(conn, "heard %s", heard)
	}
	near := listenTCP(t, func(c *net.TCPConn) { greet(c) })
	_, port, _ := net.SplitHostPort(near)
	socket := filepath.Join(t.TempDir(), "near")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, greet)
	there := filepath.Join(t.TempDir(), "there") // a forward of its own for each: the last may still end
	// The far end says all, and hears the answer after that.
	ask := `python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX) if sys.argv[1][0] == "/" else socket.socket()
s.connect(sys.argv[1] if sys.argv[1][0] == "/" else ("localhost", int(sys.argv[1])))
s.sendall(b"all"); s.shutdown(socket.SHUT_WR)
print(s.makefile().read())' `
	first, second, third, free := freePort(t), freePort(t), freePort(t), freePort(t)
	for name, c := range map[string]struct{ rule, ask string }{
		"port to port":     {first + ":localhost:" + port, first},
		"port to the same": {second + ":" + port, second},
		"port to socket":   {third + ":" + socket, third},
		"socket to socket": {there + "1:" + socket, there + "1"},
		"socket to port":   {there + "2:127.0.0.1:" + port, there + "2"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := finish(t, l.command("ssh", "-R", c.rule, "ws", "--", ask+c.ask))
			if out != "heard all\n" || code != 0 {
				t.Errorf("through -R %s = %q, %q, %d, want heard all", c.rule, out, errs, code)
			}
		})
	}
	two := []string{"CODER_SSH_REMOTE_FORWARD=" + free + ":" + near + "," + there + ":" + socket}
	out, errs, _ := finish(t, l.command("ssh", "ws", "--", ask+free+"; "+ask+there), two...)
	if out != "heard all\nheard all\n" {
		t.Errorf("through %s = %q, %q, want heard all twice", two, out, errs)
	}
	out, errs, _ = finish(t, l.command("ssh", "-R", there+"3:/nowhere", "ws", "--", ask+there+"3"))
	if strings.TrimSpace(out) != "" {
		t.Errorf("through a forward to nowhere = %q, %q, want the end of the connection", out, errs)
	}
}

// freePort is a port on which nobody listens, and that no connection is given.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		if ln, err := net.Listen("tcp", "localhost:"+port); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func TestForwardsThatAreRefused(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	missing := filepath.Join(t.TempDir(), "missing", "socket")
	for _, c := range []struct {
		args string
		want string
	}{
		{"-R " + missing + ":/x", "the workspace refused to listen: --remote-forward " + missing + ":/x\nhint: is it in use"},
		{"-R x", `error: --remote-forward "x": want a port`},
		{"-R 80:", `error: --remote-forward "80:": nothing follows the last colon`},
		{"-R 0.0.0.0:80:80", `error: --remote-forward "0.0.0.0:80:80": the workspace listens on its loopback only`},
		{"-R /x", `error: --remote-forward "/x": a socket needs something on the other side`},
		{"-R 80:80 --stdio", "error: --remote-forward does not go with --stdio\nhint: ssh -R does it"},
		{"-G --stdio", "error: --forward-gpg does not go with --stdio\nhint: "},
		{"-X --stdio", "error: --forward-x11 does not go with --stdio\nhint: ssh -X does it"},
	} {
		_, errs, code := finish(t, l.command(append(append([]string{"ssh"}, strings.Fields(c.args)...), "ws", "true")...))
		if !strings.Contains(errs, c.want) || code != 1 {
			t.Errorf("ssh %s = %d, %q, want 1 and %q", c.args, code, errs, c.want)
		}
	}
}

// TestProxyLeavesForwardingToOpenSSH sets for all what only our own sessions do.
func TestProxyLeavesForwardingToOpenSSH(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	cmd := l.openSSH(t, "coder.ws", "--", "echo hello")
	out, errs, code := finish(t, cmd, "CODER_SSH_FORWARD_AGENT=true", "CODER_SSH_FORWARD_GPG=true",
		"CODER_SSH_FORWARD_X11=true", "CODER_SSH_REMOTE_FORWARD=1:1", "SSH_AUTH_SOCK=")
	if out != "hello\n" || code != 0 {
		t.Errorf("ssh through coder ssh --stdio = %q, %q, %d, want hello", out, errs, code)
	}
}
