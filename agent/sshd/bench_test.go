//go:build linux

package sshd

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// BenchmarkHandshakeAndExec is one connection and one command with the Go
// client, what "coder ssh ws -- true" does inside the tunnel.
func BenchmarkHandshakeAndExec(b *testing.B) {
	l := newLab(b, Config{})
	for b.Loop() {
		client, err := ssh.Dial("tcp", net.JoinHostPort(l.host, l.port), &ssh.ClientConfig{
			HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := newSession(b, client).Run("true"); err != nil {
			b.Fatal(err)
		}
		_ = client.Close()
	}
}

// BenchmarkExec is one command on a connection that is there already.
func BenchmarkExec(b *testing.B) {
	client := newLab(b, Config{}).dial(b)
	for b.Loop() {
		if err := newSession(b, client).Run("true"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenSSH runs the OpenSSH client against this server and beside it
// against OpenSSH's own, if that is installed.
func BenchmarkOpenSSH(b *testing.B) {
	l := newLab(b, Config{})
	peers := map[string]func(...string) *exec.Cmd{
		"berth": func(args ...string) *exec.Cmd { return l.ssh(b, args...) },
	}
	if _, err := os.Stat("/usr/sbin/sshd"); err == nil {
		peers["openssh"] = startSSHD(b)
	}
	for peer, connect := range peers {
		b.Run("exec/"+peer, func(b *testing.B) {
			for b.Loop() {
				must(b, connect("ws", "true"))
			}
		})
		for _, cipher := range []string{"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"} {
			const size = 256 << 20
			b.Run("upload/"+cipher[:6]+"/"+peer, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					cmd := connect("-c", cipher, "ws", "cat >/dev/null")
					cmd.Stdin = io.LimitReader(zeros{}, size)
					must(b, cmd)
				}
			})
			b.Run("download/"+cipher[:6]+"/"+peer, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					must(b, connect("-c", cipher, "ws", fmt.Sprintf("head -c %d /dev/zero", size)))
				}
			})
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func must(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		b.Fatalf("%v: %v: %s", cmd.Args, err, stderr.String())
	}
}

// startSSHD starts OpenSSH's server with keys of its own on a free port and
// returns how to connect to it.
func startSSHD(b *testing.B) func(...string) *exec.Cmd {
	dir := b.TempDir()
	for _, name := range []string{"host", "user"} {
		must(b, command(b, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name)))
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		b.Logf("sshd may not start: %v", err)
	}
	port := freePort(b)
	config := fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\n"+
		"StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n",
		port, filepath.Join(dir, "host"), filepath.Join(dir, "user.pub"))
	file := filepath.Join(dir, "sshd_config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	sshd := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", file)
	stderr, err := sshd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := sshd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sshd.Process.Kill(); _ = sshd.Wait() })
	expect(b, stderr, "Server listening")
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	return func(args ...string) *exec.Cmd {
		for i, arg := range args {
			if arg == "ws" {
				args[i] = "127.0.0.1"
			}
		}
		options := append([]string{"-i", filepath.Join(dir, "user")}, clientOptions()...)
		return command(b, "ssh", append(append(options, "-p", port), args...)...)
	}
}
