package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"

	"github.com/berthdev/berth/connect/forward"
	"github.com/berthdev/berth/connect/sshclient"
)

// sshForwards is what ssh carries from the workspace to this machine.
type sshForwards struct {
	agent         bool
	identityAgent string
	gpg           bool
	x11           bool
	remote        []string

	rules []forward.Rule // what remote says
	keys  gpgKeys        // of gpg here, if gpg is set
}

func (f *sshForwards) register(fs *pflag.FlagSet) {
	fs.BoolVarP(&f.agent, "forward-agent", "A", false, "let programs in the workspace ask the SSH agent of $SSH_AUTH_SOCK to sign")
	env(fs, "forward-agent", "CODER_SSH_FORWARD_AGENT")
	fs.StringVar(&f.identityAgent, "identity-agent", "", "`socket` of the SSH agent for --forward-agent, in place of $SSH_AUTH_SOCK")
	env(fs, "identity-agent", "CODER_SSH_IDENTITY_AGENT")
	fs.StringArrayVarP(&f.remote, "remote-forward", "R", nil, "let the workspace reach what is here by this `rule`: remote_port:local_address:local_port or remote_socket:local_socket; may be repeated")
	env(fs, "remote-forward", "CODER_SSH_REMOTE_FORWARD")
	fs.BoolVarP(&f.gpg, "forward-gpg", "G", false, "let gpg in the workspace use the secret keys of here, and give it the public ones")
	env(fs, "forward-gpg", "CODER_SSH_FORWARD_GPG")
	fs.BoolVarP(&f.x11, "forward-x11", "X", false, "let programs in the workspace use the X11 display of here, as those of here do")
	env(fs, "forward-x11", "CODER_SSH_FORWARD_X11")
}

// check reads the flags.
func (f *sshForwards) check() error {
	for _, list := range f.remote {
		rules, err := forward.Parse("tcp", list)
		if err != nil {
			return withHint(fmt.Errorf("--remote-forward %w", err), "like -R 8080:localhost:3000 or -R /tmp/there.sock:/tmp/here.sock")
		}
		for _, rule := range rules {
			if rule.Listen.Host != "" {
				return fmt.Errorf("--remote-forward %q: the workspace listens on its loopback only, so the port comes first", list)
			}
		}
		f.rules = append(f.rules, rules...)
	}
	return nil
}

// checkStdio refuses what was asked for together with --stdio and is OpenSSH's to
// do then. That an agent is forwarded harms nobody: with OpenSSH it is the same
// one.
func (f *sshForwards) checkStdio() error {
	for _, c := range []struct {
		given      bool
		flag, hint string
	}{
		{f.gpg, "--forward-gpg", "RemoteForward of ssh does it: docs/ssh-forward.md"},
		{len(f.remote) > 0, "--remote-forward", "ssh -R does it"},
		{f.x11, "--forward-x11", "ssh -X does it"},
	} {
		if c.given {
			return withHint(errors.New(c.flag+" does not go with --stdio"), c.hint)
		}
	}
	return nil
}

// request is what a session is asked to forward. That there is nothing here to be
// reached is an error.
func (f *sshForwards) request(ctx context.Context) (req sshclient.Request, err error) {
	for _, rule := range f.rules {
		req.Forwards = append(req.Forwards, remoteForward(rule))
	}
	if f.agent {
		if req.Agent, err = findAgent(ctx, f.identityAgent); err != nil {
			return req, err
		}
	}
	if f.gpg {
		if f.keys, err = localGPG(ctx); err != nil {
			return req, err
		}
	}
	if f.x11 {
		if req.X11, err = findDisplay(ctx); err != nil {
			return req, err
		}
	}
	return req, nil
}

// dialing reaches an address of this machine.
func dialing(network, address string) sshclient.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
}

// probeTimeout is how long what is here may take to be reached; a pipe of Windows that
// is busy is waited for.
const probeTimeout = 10 * time.Second

// probe reports why an address of this machine cannot be reached.
func probe(ctx context.Context, dial sshclient.Dial) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}
