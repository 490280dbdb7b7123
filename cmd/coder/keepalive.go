package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

const (
	// leaseFor is how long the lease of a command lasts without word from it, and
	// renewEvery how often there is some: a lease is late by no more than that
	// when the command was killed.
	leaseFor   = 5 * time.Minute
	renewEvery = 2 * time.Minute
	// endTimeout bounds giving a lease back.
	endTimeout = 5 * time.Second
)

// keepalive is one run of coder keepalive.
type keepalive struct {
	reason string
	lasts  time.Duration
}

func keepaliveCommand(g *globals) *cobra.Command {
	o := &keepalive{}
	cmd := &cobra.Command{
		Use:   "keepalive [flags] [--] COMMAND... | keepalive WORKSPACE --for DURATION",
		Short: "Keep a workspace from stopping by itself",
		Long: "Keep a workspace from stopping by itself: within it, while a command runs; from\n" +
			"elsewhere, for a time. A workspace that never stops by itself is not concerned.\n" +
			"coder show says what keeps a workspace up.",
		Example: "  coder keepalive --reason training -- python train.py     # in the workspace\n" +
			"  coder keepalive dev --for 3h                             # on a laptop",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("for") {
				return o.outside(cmd, g, args)
			}
			return o.inside(cmd, args)
		},
	}
	fs := cmd.Flags()
	fs.SetInterspersed(true)
	fs.StringVar(&o.reason, "reason", "", "`why`, for those who look")
	fs.DurationVar(&o.lasts, "for", 0, "how `long`, from now on, like 90m or 3h")
	return cmd
}

// outside takes a lease for a time.
func (o *keepalive) outside(cmd *cobra.Command, g *globals, args []string) error {
	if len(args) != 1 {
		return withHint(errors.New("--for takes one workspace"), "coder keepalive WORKSPACE --for 3h")
	}
	if o.lasts < time.Minute {
		return errors.New("--for: want a minute or more")
	}
	ctx := cmd.Context()
	c, err := g.client(ctx)
	if err != nil {
		return err
	}
	ws, err := workspace(ctx, c, args[0])
	if err != nil {
		return err
	}
	l, err := c.WorkspaceLeases(ws.ID).Create(ctx, api.LeaseRequest{Seconds: int64(o.lasts / time.Second), Reason: o.reason})
	if err != nil {
		return err
	}
	left := time.Until(l.ExpiresAt).Round(time.Minute)
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "Workspace %q goes on until %s.\n", ws.Name, l.ExpiresAt.Local().Format(time.RFC1123)); err != nil {
		return err
	}
	if left < o.lasts-time.Minute {
		fmt.Fprintf(os.Stderr, "That is %v: a lease may not last longer.\n", left)
	}
	switch {
	case ws.LatestBuild.Status == api.BuildStopped:
		fmt.Fprintf(os.Stderr, "It is stopped: coder start %s\n", ws.Name)
	case ws.LatestBuild.Deadline == nil:
		fmt.Fprintln(os.Stderr, "It does not stop by itself anyway: coder schedule stop sets that.")
	}
	return nil
}

// inside runs a command and holds a lease for as long. That the server cannot be
// asked is no reason not to run it.
func (o *keepalive) inside(cmd *cobra.Command, args []string) error {
	c, err := agentClient()
	if errors.Is(err, errNotInWorkspace) {
		err = withHint(err, "coder keepalive WORKSPACE --for 3h")
	}
	if err != nil {
		return err
	}
	if o.reason == "" {
		o.reason = strings.Join(args, " ")
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context()))
	var holding sync.WaitGroup
	holding.Go(func() { hold(ctx, c.AgentLeases(), o.reason) })
	err = runChild(args)
	cancel()
	holding.Wait()
	return err
}

// errNotInWorkspace says that a command is for the inside of workspaces.
var errNotInWorkspace = errors.New("this is no session of a workspace: CODER_AGENT_URL and CODER_AGENT_TOKEN are not set")

// agentClient calls the server for the workspace that this process is in.
func agentClient() (*api.Client, error) {
	address, token := os.Getenv("CODER_AGENT_URL"), os.Getenv("CODER_AGENT_TOKEN")
	if address == "" || token == "" {
		return nil, errNotInWorkspace
	}
	url, err := api.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("CODER_AGENT_URL: %w", err)
	}
	return &api.Client{URL: url, Token: token, HTTP: &http.Client{Transport: api.Transport()}}, nil
}

// hold takes a lease, renews it until ctx ends, and gives it back. A lease that
// has lasted as long as one may is followed by none: that is for who runs the
// server to say.
func hold(ctx context.Context, leases api.Leases, reason string) {
	req := api.LeaseRequest{Seconds: int64(leaseFor / time.Second), Reason: reason}
	held, warned := uuid.Nil, false
	for {
		err := take(ctx, leases, req, &held)
		switch {
		case ctx.Err() != nil:
		case api.StatusCode(err) == http.StatusConflict:
			fmt.Fprintln(os.Stderr, "coder keepalive: "+describe(err))
			return
		case err != nil && !warned:
			warned = true
			fmt.Fprintln(os.Stderr, "coder keepalive: the workspace may stop: "+describe(err))
		case err == nil:
			warned = false
		}
		select {
		case <-time.After(renewEvery):
		case <-ctx.Done():
			giveBack(leases, held)
			return
		}
	}
}

// take renews the lease that is held, or takes one.
func take(ctx context.Context, leases api.Leases, req api.LeaseRequest, held *uuid.UUID) error {
	if *held != uuid.Nil {
		_, err := leases.Renew(ctx, *held, req)
		if api.StatusCode(err) != http.StatusNotFound {
			return err
		}
	}
	l, err := leases.Create(ctx, req)
	if err == nil {
		*held = l.ID
	}
	return err
}

func giveBack(leases api.Leases, held uuid.UUID) {
	if held == uuid.Nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	_ = leases.End(ctx, held) // it ends by itself soon
}

// runChild runs a command in our place: it gets our signals by being in our
// process group, and its exit status is ours.
func runChild(args []string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	child := exec.Command(args[0], args[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig != os.Interrupt { // the terminal tells it that itself
					_ = child.Process.Signal(sig)
				}
			case <-done:
				return
			}
		}
	}()
	var exit *exec.ExitError
	err := child.Wait()
	if errors.As(err, &exit) {
		if code := exit.ExitCode(); code >= 0 {
			return exitStatus(code)
		}
		return exitStatus(128 + int(exit.Sys().(syscall.WaitStatus).Signal()))
	}
	return err
}
