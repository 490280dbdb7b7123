//go:build linux

package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// gitServer serves git repositories by SSH to who has a key.
type gitServer struct {
	listener net.Listener
	config   *ssh.ServerConfig
	serving  sync.WaitGroup
}

func newGitServer(t *testing.T, authorized string) *gitServer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s := &gitServer{config: &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) != authorized {
			return nil, ssh.ErrNoAuth
		}
		return nil, nil
	}}}
	s.config.AddHostKey(host)
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s.serving.Go(s.accept)
	t.Cleanup(func() {
		s.listener.Close()
		s.serving.Wait()
	})
	return s
}

func (s *gitServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.serving.Go(func() { s.serve(conn) })
	}
}

// serve runs the commands of one connection.
func (s *gitServer) serve(conn net.Conn) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	s.serving.Go(func() { ssh.DiscardRequests(requests) })
	for next := range channels {
		channel, requests, err := next.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			if r.Type != "exec" {
				_ = r.Reply(false, nil)
				continue
			}
			_ = r.Reply(true, nil)
			status := uint32(0)
			if err := runFor(channel, string(r.Payload[4:])); err != nil {
				status = 1
			}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			channel.Close()
		}
	}
}

func runFor(channel io.ReadWriter, command string) error {
	cmd := exec.Command("sh", "-c", command)
	cmd.Stdout = channel
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(stdin, channel) // ends with the channel
		stdin.Close()
	}()
	return cmd.Run()
}

// TestGitInWorkspaces clones by SSH with the key that the user has here, which
// nobody put into the workspace.
func TestGitInWorkspaces(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	key := strings.TrimSpace(l.coder(t, "publickey"))
	if again := strings.TrimSpace(l.coder(t, "publickey")); !strings.HasPrefix(key, "ssh-ed25519 ") || again != key {
		t.Fatalf("publickey prints %q, then %q, want an ed25519 key, the same twice", key, again)
	}
	repository := filepath.Join(l.dir, "repository")
	git := exec.Command("sh", "-ec", `git init -q "$0" && cd "$0" && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first`, repository)
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("make a repository: %v\n%s", err, out)
	}
	_, port, err := net.SplitHostPort(newGitServer(t, key).listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	clone := `GIT_SSH_COMMAND="$GIT_SSH_COMMAND -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
		export GIT_SSH_COMMAND
		git clone -q ssh://git@127.0.0.1:` + port + repository + ` "$HOME/clone" && git -C "$HOME/clone" log --format=%s`
	if out := l.coder(t, "ssh", "ws", "--", clone); out != "first\n" {
		t.Errorf("clone in the workspace prints %q, want the only commit", out)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "coder-gitssh-*")); err != nil || len(left) > 0 {
		t.Errorf("keys left behind: %v, %v", left, err)
	}

	fresh := strings.TrimSpace(l.coder(t, "publickey", "--reset", "--yes"))
	if fresh == key {
		t.Error("publickey --reset prints the key of before")
	}
	out, err := l.command("ssh", "ws", "--", `rm -r "$HOME/clone"; exec 2>&1; `+clone+"; true").Output()
	if err != nil || !strings.Contains(string(out), "Permission denied") {
		t.Errorf("clone with a key that the server does not know: %v, %q, want permission denied", err, out)
	}
	if out, err := l.command("publickey", "--reset").CombinedOutput(); err == nil || !strings.Contains(string(out), "give --yes") {
		t.Errorf("publickey --reset without a terminal = %v, %q, want a refusal", err, out)
	}
}
