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

// BenchmarkKeystroke is one byte to a terminal and its echo back.
func BenchmarkKeystroke(b *testing.B) {
	s := newLab(b, Config{}).session(b)
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		b.Fatal(err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Start("echo ready; exec cat >/dev/null"); err != nil {
		b.Fatal(err)
	}
	expect(b, out, "ready\r\n")
	key, echo := []byte("k"), make([]byte, 1)
	for b.Loop() {
		if _, err := in.Write(key); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(out, echo); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenSSH runs the OpenSSH client against this server and beside it
// against OpenSSH's own.
func BenchmarkOpenSSH(b *testing.B) {
	l := newLab(b, Config{})
	keys := newKeys(b)
	for peer, conf := range map[string]string{
		"berth": clientConfig(b, keys, l.port), "openssh": clientConfig(b, keys, startSSHD(b, keys, "")),
	} {
		connect := func(args ...string) *exec.Cmd { return command(b, "ssh", append([]string{"-F", conf}, args...)...) }
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

// BenchmarkSFTP moves a file with OpenSSH's sftp, beside OpenSSH's own server.
func BenchmarkSFTP(b *testing.B) {
	const size = 256 << 20
	dir := b.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
		b.Fatal(err)
	}
	l := newLab(b, Config{})
	keys := newKeys(b)
	for peer, conf := range map[string]string{
		"berth": clientConfig(b, keys, l.port), "openssh": clientConfig(b, keys, startSSHD(b, keys, "")),
	} {
		for _, verb := range []string{"get", "put"} {
			b.Run(verb+"/"+peer, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					cmd := command(b, "sftp", "-q", "-F", conf, "-o", "Ciphers=aes128-gcm@openssh.com", "-b", "-", "ws")
					cmd.Stdin = strings.NewReader(verb + " " + file + " " + file + ".copy\n")
					must(b, cmd)
				}
			})
		}
	}
}
