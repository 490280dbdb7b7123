//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	throughputBytes = 256 << 20
	throughputRuns  = 3
)

// throughput measures transfers through one session in the ways that people
// use, beside the same through OpenSSH's sshd on loopback, and beside raw TCP
// through the same tunnel. Our bytes are encrypted twice, by SSH and by
// WireGuard, and cross two user space stacks; sshd's cross the kernel's
// loopback.
func throughput(ctx context.Context, e *environment) ([]row, error) {
	d, err := e.deployHere(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	peer, err := e.startSSHD(ctx, exec.CommandContext, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	defer peer.Close()
	raw, err := listenPorts()
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	t := &transfers{ctx: ctx, e: e, d: d, peer: peer, raw: raw, dir: d.dir}
	if err := t.prepare(); err != nil {
		return nil, err
	}
	rows, err := t.rows()
	if err != nil {
		return rows, err
	}
	keys, err := keystrokes(ctx, d, peer, raw)
	return append(rows, keys...), err
}

// transfers are the commands that are compared.
type transfers struct {
	ctx  context.Context
	e    *environment
	d    *deployment
	peer *openSSH
	raw  *ports
	dir  string
}

func (t *transfers) file(name string) string { return filepath.Join(t.dir, name) }

// prepare makes the file that is moved, and what sftp is to do with it.
func (t *transfers) prepare() error {
	f, err := os.Create(t.file("big"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(throughputBytes); err != nil {
		return err
	}
	if err := os.WriteFile(t.file("put"), []byte("put "+t.file("big")+" "+t.file("there")+"\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(t.file("get"), []byte("get "+t.file("big")+" "+t.file("here")+"\n"), 0o600)
}

// ours and theirs are a program of OpenSSH that reaches the workspace, or sshd.
func (t *transfers) ours(program string, args ...string) *exec.Cmd {
	options := []string{
		"-F", "none", "-o", "ProxyCommand=" + t.e.coder + " ssh --stdio %h", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
	}
	return t.d.user(t.ctx, exec.CommandContext, program, append(options, args...)...)
}

func (t *transfers) theirs(program string, args ...string) *exec.Cmd {
	return exec.CommandContext(t.ctx, program, append(t.peer.options(), args...)...)
}

// rsync compares nothing and cannot know that the file is of zeros.
func (t *transfers) rsync(ssh *exec.Cmd, host string) *exec.Cmd {
	cmd := exec.CommandContext(t.ctx, "rsync", "--whole-file", "--inplace", "--ignore-times",
		"-e", quoted(ssh.Args), t.file("big"), host+":"+t.file("synced"))
	cmd.Env = ssh.Env
	return cmd
}

// quoted is a command in the only quoting that rsync -e knows.
func quoted(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = "'" + a + "'"
	}
	return strings.Join(out, " ")
}

func (t *transfers) upload(cmd *exec.Cmd) *exec.Cmd {
	cmd.Stdin = &zeros{left: throughputBytes}
	return cmd
}

func (t *transfers) tunnel(direction, port string) *exec.Cmd {
	return exec.CommandContext(t.ctx, t.e.self, "raw", t.d.url, filepath.Join(t.d.dir, "config"), direction, port, fmt.Sprint(throughputBytes))
}

func (t *transfers) rows() ([]row, error) {
	const command = "cat > /dev/null"
	took, err := alternate(throughputRuns,
		func() *exec.Cmd { return t.tunnel("up", portOf(t.raw.sink)) },
		func() *exec.Cmd { return t.tunnel("down", portOf(t.raw.source)) },
		func() *exec.Cmd {
			return t.upload(t.d.user(t.ctx, exec.CommandContext, t.e.coder, "ssh", "ws", "--", command))
		},
		func() *exec.Cmd { return t.upload(t.ours("ssh", "ws", command)) },
		func() *exec.Cmd { return t.upload(t.theirs("ssh", t.peer.host, command)) },
		func() *exec.Cmd { return t.ours("sftp", "-b", t.file("put"), "ws") },
		func() *exec.Cmd { return t.theirs("sftp", "-b", t.file("put"), t.peer.host) },
		func() *exec.Cmd { return t.ours("sftp", "-b", t.file("get"), "ws") },
		func() *exec.Cmd { return t.theirs("sftp", "-b", t.file("get"), t.peer.host) },
		func() *exec.Cmd { return t.rsync(t.ours("ssh"), "ws") },
		func() *exec.Cmd { return t.rsync(t.theirs("ssh"), t.peer.host) },
	)
	if err != nil {
		return nil, err
	}
	rate := make([]float64, len(took))
	for i := range took {
		rate[i] = throughputBytes * 8 / 1e9 / (median(took[i]) / 1e3)
	}
	up, down := rate[0], rate[1]
	const unit, sshd, raw = "Gbit/s", "the same to sshd", "raw TCP in the tunnel"
	goal := []limit{ratioAtLeast(0.9)}
	return []row{
		{"coder ssh ws 'cat > /dev/null', 256 MiB", rate[2], unit, raw, up, goal, nil},
		{"ssh ws 'cat > /dev/null', 256 MiB", rate[3], unit, raw, up, goal, nil},
		{"ssh ws 'cat > /dev/null', 256 MiB", rate[3], unit, sshd, rate[4], nil, nil},
		{"sftp put, 256 MiB", rate[5], unit, raw, up, goal, nil},
		{"sftp put, 256 MiB", rate[5], unit, sshd, rate[6], nil, nil},
		{"sftp get, 256 MiB", rate[7], unit, raw, down, goal, nil},
		{"sftp get, 256 MiB", rate[7], unit, sshd, rate[8], nil, nil},
		{"rsync to the workspace, 256 MiB", rate[9], unit, raw, up, goal, nil},
		{"rsync to the workspace, 256 MiB", rate[9], unit, sshd, rate[10], nil, nil},
	}, nil
}
