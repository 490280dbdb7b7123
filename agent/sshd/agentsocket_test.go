//go:build linux

package sshd

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// echoAgent answers auth-agent channels of client with what comes in.
func echoAgent(t *testing.T, client *ssh.Client) {
	t.Helper()
	for nc := range client.HandleChannelOpen("auth-agent@openssh.com") {
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		go ssh.DiscardRequests(reqs)
		go func() {
			_, _ = io.Copy(ch, ch)
			_ = ch.Close()
		}()
	}
}

// forwarded asks for agent forwarding and returns where the socket is.
func forwarded(t *testing.T, client *ssh.Client) string {
	t.Helper()
	go echoAgent(t, client)
	s := newSession(t, client)
	defer s.Close()
	if ok, err := s.SendRequest("auth-agent-req@openssh.com", true, nil); !ok || err != nil {
		t.Fatalf("auth-agent-req = %v, %v, want true", ok, err)
	}
	out, err := s.Output("echo $SSH_AUTH_SOCK")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestAgentOpensLeakNothing(t *testing.T) {
	const opens = 10_000
	l := newLab(t, Config{})
	path := forwarded(t, l.dial(t))
	open := func() {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("ask")); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.UnixConn).CloseWrite()
		if got, err := io.ReadAll(conn); string(got) != "ask" || err != nil {
			t.Fatalf("the agent answers %q, %v, want ask", got, err)
		}
	}
	open()
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range opens {
		open()
	}
	// The last few may still be on their way out; as many as were opened can
	// never be.
	if got := openFiles(t); got > files+20 {
		t.Errorf("%d files open after %d connections to the agent, %d before", got, opens, files)
	}
	if got := runtime.NumGoroutine(); got > goroutines+100 {
		t.Errorf("%d goroutines after %d connections to the agent, %d before", got, opens, goroutines)
	}
	if got := l.srv.Counters().Forwards; got != opens+1 {
		t.Errorf("Forwards = %d, want %d", got, opens+1)
	}
}

func TestAgentSocketBelongsToTheConnection(t *testing.T) {
	l := newLab(t, Config{})
	client := l.dial(t)
	path := forwarded(t, client)
	if st, err := os.Stat(filepath.Dir(path)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("Stat of the directory = %v, %v, want mode 0700", st, err)
	}
	other := newSession(t, client)
	if ok, _ := other.SendRequest("auth-agent-req@openssh.com", true, nil); !ok {
		t.Error("second auth-agent-req = false, want true")
	}
	if got, _ := other.Output("echo $SSH_AUTH_SOCK"); string(bytes.TrimSpace(got)) != path {
		t.Errorf("socket of the second session = %q, want %q", got, path)
	}
	l.close(t)
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("Stat of the directory after the end = %v, want not exist", err)
	}
}
