//go:build linux

package sshd

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// The tests of this file judge the server with the programs of OpenSSH.

func TestCommandIsExact(t *testing.T) {
	l := newLab(t, Config{})
	got := run(t, l.ssh(t, "ws", "--", "sh -c 'echo out; echo err >&2; exit 7'"))
	if want := (result{"out\n", "err\n", 7}); got != want {
		t.Errorf("ssh ws = %+v, want %+v", got, want)
	}
}

func TestLastOutputIsNotLost(t *testing.T) {
	l := newLab(t, Config{})
	got := run(t, l.ssh(t, "ws", "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 3"))
	if len(got.out) != 300000 || len(got.err) != 300000 || got.code != 3 {
		t.Errorf("ssh ws = %d bytes out, %d err, code %d, want 300000, 300000, 3", len(got.out), len(got.err), got.code)
	}
}

func TestBigInputAndOutput(t *testing.T) {
	const size = 64 << 20
	data := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(data)
	sum := sha256.Sum256(data)

	l := newLab(t, Config{})
	cmd := l.ssh(t, "ws", "sha256sum")
	cmd.Stdin = bytes.NewReader(data)
	if got, want := run(t, cmd).out, fmt.Sprintf("%x  -\n", sum); got != want {
		t.Errorf("sha256sum of %d bytes = %q, want %q", size, got, want)
	}
	cmd = l.ssh(t, "ws", "cat")
	cmd.Stdin = bytes.NewReader(data)
	if back := run(t, cmd).out; sha256.Sum256([]byte(back)) != sum {
		t.Errorf("cat gave %d bytes back that differ from the %d sent", len(back), size)
	}
}

func TestInputEndsByHalf(t *testing.T) {
	l := newLab(t, Config{})
	file := filepath.Join(l.home, "in")
	if err := os.WriteFile(file, []byte("some\nlines\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := l.ssh(t, "ws", "cat; echo end")
	cmd.Stdin = f
	if got, want := run(t, cmd).out, "some\nlines\nend\n"; got != want {
		t.Errorf("ssh ws cat < file = %q, want %q", got, want)
	}
}

func TestReaderGoesFirst(t *testing.T) {
	l := newLab(t, Config{})
	ssh := "ssh " + strings.Join(l.names(append(clientOptions(), "-p", l.port, "ws")), " ")
	for _, pipe := range []string{
		ssh + " yes | head -n 1",
		"yes | " + ssh + " head -n 1",
		// The command goes on after it closed its input: yes must end by then.
		"{ yes; echo y; } 2>/dev/null | " + ssh + " 'exec head -n 1'",
	} {
		if got, want := run(t, command(t, "bash", "-c", pipe)), "y\n"; got.out != want {
			t.Errorf("%s = %+v, want %q", pipe, got, want)
		}
	}
}

func TestKilledProcessReportsItsSignal(t *testing.T) {
	l := newLab(t, Config{})
	if got := run(t, l.ssh(t, "ws", "kill -KILL $$")); got.code != 255 {
		t.Errorf("ssh ws 'kill -KILL $$' = %+v, want code 255 as from sshd", got)
	}
}

func TestSetEnv(t *testing.T) {
	l := newLab(t, Config{})
	got := run(t, l.ssh(t, "-o", "SetEnv=FOO=bar PATH=/evil", "ws", `echo "$FOO $PATH"`))
	if want := "bar " + os.Getenv("PATH") + "\n"; got.out != want {
		t.Errorf("ssh -o SetEnv = %+v, want %q (what the agent has wins)", got, want)
	}
}

func TestTerminalSizeAndResize(t *testing.T) {
	l := newLab(t, Config{})
	cmd := l.ssh(t, "-tt", "ws", `tty >&2; stty size; trap 'stty size; kill $!; exit 3' WINCH; echo ready; sleep 100 & wait`)
	term, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 33, Cols: 99})
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	if got := expect(t, term, "ready"); !strings.Contains(got, "33 99\r\n") || !strings.Contains(got, "/dev/pts/") {
		t.Errorf("stty size = %q, want 33 99 and a terminal", got)
	}
	if err := pty.Setsize(term, &pty.Winsize{Rows: 44, Cols: 111}); err != nil {
		t.Fatal(err)
	}
	expect(t, term, "44 111")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("ssh -tt ended with %v, want exit status 3", err)
	}
}

func TestInterruptKeyReachesTheForeground(t *testing.T) {
	l := newLab(t, Config{})
	cmd := l.ssh(t, "-tt", "ws", `trap 'echo interrupted; exit 4' INT; echo ready; read line`)
	term, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	expect(t, term, "ready")
	if _, err := term.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	expect(t, term, "interrupted")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 4 {
		t.Errorf("ssh -tt ended with %v, want exit status 4", err)
	}
}

func TestMultiplexedSessions(t *testing.T) {
	l := newLab(t, Config{})
	socket := filepath.Join(l.home, "mux")
	master := l.ssh(t, "-M", "-S", socket, "ws", "echo ready; cat")
	in, err := master.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := master.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	expect(t, out, "ready")
	if got := run(t, l.ssh(t, "-S", socket, "ws", "exit 5")); got.code != 5 {
		t.Errorf("second session = %+v, want code 5", got)
	}
	_ = in.Close()
	if err := master.Wait(); err != nil {
		t.Errorf("first session: %v", err)
	}
	if c := l.srv.Counters(); c.Connections != 1 || c.Sessions != 2 {
		t.Errorf("counters = %+v, want 1 connection and 2 sessions", c)
	}
}

func TestFileTransfer(t *testing.T) {
	l := newLab(t, Config{})
	local := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := os.WriteFile(filepath.Join(local, "a"), data, 0o640); err != nil {
		t.Fatal(err)
	}
	remote := "ssh " + strings.Join(clientOptions(), " ") + " -p " + l.port
	for name, args := range map[string][]string{
		"scp":        append(clientOptions(), "-P", l.port, filepath.Join(local, "a"), "ws:scp"),
		"scp legacy": append(clientOptions(), "-O", "-P", l.port, filepath.Join(local, "a"), "ws:'scp legacy'"),
		"rsync":      {"-e", remote, filepath.Join(local, "a"), "ws:rsync"},
	} {
		t.Run(name, func(t *testing.T) {
			prog, _, _ := strings.Cut(name, " ")
			if got := run(t, command(t, prog, l.names(args)...)); got.code != 0 {
				t.Fatalf("%s %v = %+v", prog, args, got)
			}
			sameFile(t, filepath.Join(l.home, name), data)
		})
	}
	t.Run("sftp", func(t *testing.T) {
		cmd := command(t, "sftp", l.names(append(clientOptions(), "-b", "-", "-P", l.port, "ws"))...)
		cmd.Dir = local
		cmd.Stdin = strings.NewReader("put a b\nrename b c\nchmod 600 c\nget c d\n")
		if got := run(t, cmd); got.code != 0 {
			t.Fatalf("sftp = %+v", got)
		}
		sameFile(t, filepath.Join(l.home, "c"), data)
		sameFile(t, filepath.Join(local, "d"), data)
	})
}

func sameFile(t *testing.T, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes that are not the %d sent", name, len(got), len(want))
	}
}

// echoServer sends back what it reads, after the reader has closed its side.
func echoServer(t *testing.T) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); wait(t, done, "the echo server") })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			data, _ := io.ReadAll(conn)
			_, _ = conn.Write(data)
			_ = conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

func TestForwards(t *testing.T) {
	l := newLab(t, Config{})
	target := echoServer(t)
	for flag, spec := range map[string]string{
		"-L": "127.0.0.1:%s:127.0.0.1:" + target,
		"-R": "%s:127.0.0.1:" + target,
	} {
		t.Run(flag, func(t *testing.T) {
			port := freePort(t)
			cmd := l.ssh(t, "-o", "ExitOnForwardFailure=yes", flag, fmt.Sprintf(spec, port), "ws", "echo ready; cat")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			expect(t, out, "ready")
			throughEcho(t, port)
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("ssh %s: %v", flag, err)
			}
		})
	}
	t.Run("-W", func(t *testing.T) {
		cmd := l.ssh(t, "-W", "127.0.0.1:"+target, "ws")
		cmd.Stdin = strings.NewReader("hello")
		if got, want := run(t, cmd).out, "hello"; got != want {
			t.Errorf("ssh -W = %q, want %q", got, want)
		}
	})
}

func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

func throughEcho(t *testing.T, port string) {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data := bytes.Repeat([]byte("forwarded "), 1<<17)
	go func() {
		_, _ = conn.Write(data)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back with error %v, want the %d sent", len(got), err, len(data))
	}
}
