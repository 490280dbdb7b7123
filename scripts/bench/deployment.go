//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// deployment is a server with a workspace "ws".
type deployment struct {
	coder   string // the program of the server and, unless said otherwise, the rest
	url     string
	dir     string
	on      machine // where the server runs
	args    []string
	server  *process
	token   string // of the agent of ws
	closers []func() error
}

// deploy starts a server on a machine whose address is host and makes the
// workspace. args are the server's.
func (e *environment) deploy(ctx context.Context, on machine, host string, args ...string) (*deployment, error) {
	d, err := e.startServer(ctx, on, host, args...)
	if err != nil {
		return nil, err
	}
	if err := d.createWorkspace(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (e *environment) startServer(ctx context.Context, on machine, host string, args ...string) (*deployment, error) {
	dir, err := e.subdir("deployment")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	relay, err := freePort()
	if err != nil {
		return nil, err
	}
	d := &deployment{coder: e.coder, dir: dir, on: on, url: "http://" + net.JoinHostPort(host, port)}
	d.args = append([]string{
		"server", "--http-address", net.JoinHostPort(host, port), "--relay-address", net.JoinHostPort(host, relay),
		"--access-url", d.url, "--data-dir", filepath.Join(dir, "data"),
	}, args...)
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	login := d.user(ctx, on, d.coder, "login", d.url, "--first-user-username", "admin",
		"--first-user-email", "admin@example.com", "--first-user-password", "correct-horse-battery")
	if _, err := output(login); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// start starts the server, also again after it was killed.
func (d *deployment) start(ctx context.Context) error {
	cmd := d.on(ctx, d.coder, d.args...)
	cmd.Env = without("CODER_")
	var err error
	if d.server, err = start(cmd); err != nil {
		return err
	}
	if _, err := d.server.await(ctx, "is ready at"); err != nil {
		return errors.Join(err, d.server.Close())
	}
	return nil
}

func (d *deployment) createWorkspace(ctx context.Context) error {
	if _, err := output(d.user(ctx, d.on, d.coder, "create", "ws", "--template", "byo", "--yes")); err != nil {
		return err
	}
	out, err := output(d.user(ctx, d.on, d.coder, "external-workspaces", "agent-instructions", "ws", "-o", "json"))
	if err != nil {
		return err
	}
	var in struct{ Token string }
	if err := json.Unmarshal([]byte(out), &in); err != nil || in.Token == "" {
		return fmt.Errorf("agent-instructions printed %q, want JSON with a token (error %v)", out, err)
	}
	d.token = in.Token
	return nil
}

// user is a command of the signed in user.
func (d *deployment) user(ctx context.Context, on machine, program string, args ...string) *exec.Cmd {
	cmd := on(ctx, program, args...)
	cmd.Env = append(without("CODER_"), "CODER_CONFIG_DIR="+filepath.Join(d.dir, "config"))
	return cmd
}

// agent starts the agent of ws and returns when it is connected. SHLVL is not
// the agent's business, and would keep bash from reading the files that it
// reads under sshd. env is added to its environment.
func (d *deployment) agent(ctx context.Context, on machine, program string, env ...string) (*process, error) {
	cmd := on(ctx, program, "agent")
	cmd.Env = append(without("CODER_", "SHLVL="), "CODER_AGENT_URL="+d.url, "CODER_AGENT_TOKEN="+d.token, "CODER_AGENT_LOG_DIR="+d.dir)
	cmd.Env = append(cmd.Env, env...)
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	if _, err := p.await(ctx, "connected to the server"); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// closeLater closes something with the deployment, before the server.
func (d *deployment) closeLater(p *process) { d.closers = append(d.closers, p.Close) }

// Close ends the processes, the last started first.
func (d *deployment) Close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	return errors.Join(append(errs, d.server.Close(), os.RemoveAll(d.dir))...)
}

// deployHere is a deployment on loopback with its agent.
func (e *environment) deployHere(ctx context.Context) (*deployment, error) {
	d, err := e.deploy(ctx, exec.CommandContext, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	agent, err := d.agent(ctx, exec.CommandContext, e.slim)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.closeLater(agent)
	return d, nil
}

// freePort returns a port that was free a moment ago.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}
