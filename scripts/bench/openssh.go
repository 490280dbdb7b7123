//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
)

// openSSH is OpenSSH's own server, with keys of its own, for the user that runs
// the benchmark.
type openSSH struct {
	server *process
	dir    string
	host   string
	port   string
}

// sshdPath is where Debian has it; it insists on being started by its full path.
const sshdPath = "/usr/sbin/sshd"

// startSSHD starts sshd on a machine whose address is host.
func (e *environment) startSSHD(ctx context.Context, on machine, host string) (*openSSH, error) {
	dir, err := e.subdir("openssh")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &openSSH{dir: dir, host: host, port: port}
	for _, name := range []string{"host", "user"} {
		if _, err := output(exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.file(name))); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(s.file("sshd_config"), []byte(s.config()), 0o600); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // where sshd, as root, puts its child
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, err
		}
	}
	if s.server, err = start(on(ctx, sshdPath, "-D", "-e", "-f", s.file("sshd_config"))); err != nil {
		return nil, err
	}
	if _, err := s.server.await(ctx, "Server listening"); err != nil {
		return nil, errors.Join(err, s.server.Close())
	}
	return s, nil
}

func (s *openSSH) file(name string) string { return filepath.Join(s.dir, name) }

// config has no PAM, whose modules differ between machines.
func (s *openSSH) config() string {
	return fmt.Sprintf("ListenAddress %s\nPort %s\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\n"+
		"PidFile none\nPermitRootLogin yes\nMaxStartups 100\nSubsystem sftp /usr/lib/openssh/sftp-server\n", s.host, s.port, s.file("host"), s.file("user.pub"))
}

// ssh is a command of the OpenSSH client there.
func (s *openSSH) ssh(ctx context.Context, on machine, command string) *exec.Cmd {
	return on(ctx, "ssh", append(s.options(), s.host, command)...)
}

// options make OpenSSH's programs reach the server.
func (s *openSSH) options() []string {
	return []string{
		"-F", "none", "-o", "Port=" + s.port, "-i", s.file("user"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no",
		"-o", "LogLevel=ERROR",
	}
}

// currentUser is whom sshd lets in: it runs as that user.
func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "root"
}

// Close ends the server.
func (s *openSSH) Close() error { return s.server.Close() }
