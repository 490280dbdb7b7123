//go:build linux

package sshd

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

func login(l Login) func(context.Context) Login {
	return func(context.Context) Login { return l }
}

func TestGarbageIsClosedAndCounted(t *testing.T) {
	var log bytes.Buffer
	l := newLab(t, Config{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	inputs := map[string][]byte{
		"http":   []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("a: b\r\n", 4000)),
		"zeros":  make([]byte, 1<<16),
		"packet": append([]byte("SSH-2.0-x\r\n"), bytes.Repeat([]byte{0xff}, 1<<16)...),
		"empty":  nil,
	}
	for name, data := range inputs {
		conn, err := net.Dial("tcp", l.host+":"+l.port)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(data) // the server may hang up in the middle
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
			t.Errorf("%s: the server keeps the connection", name)
		}
		_ = conn.Close()
	}
	l.close(t)
	if got := l.srv.Counters().HandshakesFailed; got != uint64(len(inputs)) {
		t.Errorf("HandshakesFailed = %d, want %d", got, len(inputs))
	}
	for _, line := range strings.Split(log.String(), "\n") {
		if len(line) > 600 {
			t.Errorf("log line of %d bytes, want what strangers send cut: %.100s", len(line), line)
		}
	}
}

func TestHandshakeTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := HostKey("test")
		if err != nil {
			t.Fatal(err)
		}
		srv := New(key, Config{})
		client, server := net.Pipe()
		defer client.Close()
		began := time.Now()
		go srv.HandleConn(context.Background(), server)
		_, _ = io.Copy(io.Discard, client) // until the server hangs up
		if got, want := time.Since(began), 30*time.Second; got != want {
			t.Errorf("hung up after %v, want %v", got, want)
		}
		synctest.Wait()
		if got := srv.Counters().HandshakesFailed; got != 1 {
			t.Errorf("HandshakesFailed = %d, want 1", got)
		}
	})
}

func TestConnectionLimit(t *testing.T) {
	l := newLab(t, Config{Limits: Limits{Connections: 1}})
	l.dial(t)
	if _, err := ssh.Dial("tcp", l.host+":"+l.port, &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()}); err == nil {
		t.Error("second Dial = nil, want an error")
	}
	if got := l.srv.Counters().ConnectionsRefused; got != 1 {
		t.Errorf("ConnectionsRefused = %d, want 1", got)
	}
}

func TestSessionLimit(t *testing.T) {
	l := newLab(t, Config{Limits: Limits{Sessions: 2}})
	client := l.dial(t)
	newSession(t, client)
	newSession(t, client)
	for range 1000 {
		if _, err := client.NewSession(); err == nil || !strings.Contains(err.Error(), "too many sessions") {
			t.Fatalf("third NewSession = %v, want too many sessions", err)
		}
	}
	if got := l.srv.Counters().SessionsRefused; got != 1000 {
		t.Errorf("SessionsRefused = %d, want 1000", got)
	}
}

func TestEnvLimits(t *testing.T) {
	l := newLab(t, Config{Limits: Limits{EnvVars: 2, EnvBytes: 20}})
	s := l.session(t)
	for _, tt := range []struct {
		name, value string
		ok          bool
	}{
		{"A", strings.Repeat("x", 20), false}, {"A=B", "c", false}, {"A", "1", true}, {"B", "2", true}, {"C", "3", false},
	} {
		if err := s.Setenv(tt.name, tt.value); (err == nil) != tt.ok {
			t.Errorf("Setenv(%q, %q) = %v, want success %t", tt.name, tt.value, err, tt.ok)
		}
	}
	if got, err := s.Output("echo $A$B$C"); string(got) != "12\n" || err != nil {
		t.Errorf("Output = %q, %v, want 12", got, err)
	}
	if got := l.srv.Counters().EnvRefused; got != 3 {
		t.Errorf("EnvRefused = %d, want 3", got)
	}
}

func TestEnvironmentPrecedence(t *testing.T) {
	got := environment(
		[]string{"A=agent", "HOME=/agent", "TERM=dumb", "PATH=/bin"},
		[]string{"A=client", "B=client", "C=client", "CODER_SSH_SESSION_TYPE=vscode"},
		account{name: "u", home: "/home/u", shell: "/bin/zsh", machine: []string{"B=machine", "LANG=C"}},
		[]string{"C=manifest", "D=1", "D=2"},
		[]string{"D=session"},
	)
	want := []string{
		"A=agent", "HOME=/agent", "PATH=/bin", "B=client", "C=manifest", "LANG=C",
		"USER=u", "LOGNAME=u", "SHELL=/bin/zsh", "MAIL=/var/mail/u", "D=session",
	}
	if !slices.Equal(got, want) {
		t.Errorf("environment = %q, want %q", got, want)
	}
}

func TestUnixForwards(t *testing.T) {
	l := newLab(t, Config{})
	client := l.dial(t)
	path := filepath.Join(l.home, "socket")
	ln, err := client.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("Stat(%s) = %v, %v, want mode 0600", path, st, err)
	}
	conn, err := client.Dial("unix", path) // there and back through both directions
	if err != nil {
		t.Fatal(err)
	}
	back, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("hello"))
	_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(back); string(got) != "hello" || err != nil {
		t.Errorf("ReadAll = %q, %v, want hello", got, err)
	}
	_ = back.Close()
	_ = conn.Close()
	if err := ln.Close(); err != nil {
		t.Errorf("cancel the forward: %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("Stat(%s) after the cancellation = %v, want not exist", path, err)
	}
}

func TestRemoteForwardEndsWithItsCancellation(t *testing.T) {
	l := newLab(t, Config{})
	ln, err := l.dial(t).Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	_ = ln.Close()
	if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		_ = conn.Close()
		t.Error("Dial after the cancellation = nil, want refused")
	}
}

func TestRefusedForwardNamesTheReason(t *testing.T) {
	l := newLab(t, Config{})
	_, err := l.dial(t).Dial("tcp", "127.0.0.1:"+freePort(t))
	if err == nil || !strings.Contains(err.Error(), "Connection refused") {
		t.Errorf("Dial = %v, want Connection refused", err)
	}
}

func TestHostKeyDependsOnItsParts(t *testing.T) {
	fingerprint := func(seed ...string) string {
		key, err := HostKey(seed...)
		if err != nil {
			t.Fatal(err)
		}
		return ssh.FingerprintSHA256(key.PublicKey())
	}
	key := fingerprint("a", "b")
	if again := fingerprint("a", "b"); again != key {
		t.Errorf("HostKey(a, b) = %s, then %s", key, again)
	}
	for _, other := range [][]string{{"ab"}, {"a", "c"}, {"a", "b", ""}} {
		if fingerprint(other...) == key {
			t.Errorf("HostKey(a, b) = HostKey(%q), want another", other)
		}
	}
}

// TestNothingLeaks counts file descriptors; goleak counts goroutines.
func TestNothingLeaks(t *testing.T) {
	fds := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	use := func() {
		l := newLab(t, Config{})
		defer l.close(t)
		client := l.dial(t)
		defer client.Close()
		for _, command := range []string{"true", "cat", "kill -9 $$", "echo x; exec >&-"} {
			_ = newSession(t, client).Run(command)
		}
		s := newSession(t, client)
		if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
			t.Fatal(err)
		}
		start(t, s, "echo ready; sleep 100")
		if _, err := client.Dial("tcp", l.host+":"+l.port); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	use() // the runtime opens some for itself
	before := fds()
	for range 20 {
		use()
	}
	if after := fds(); after > before {
		t.Errorf("%d file descriptors after 20 servers, %d after the first", after, before)
	}
}
