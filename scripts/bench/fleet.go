//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berthdev/berth/server/api"
)

const (
	fleetSize = 5000
	// fleetMakers make workspaces at the same time.
	fleetMakers = 8
	idleWindow  = 20 * time.Second
)

// fleets measures a server with many agents: its memory, what it writes while
// nothing happens, and how long a restart is felt. The agents are simulated in
// one process: they say to the server what package agent says, but have no
// node.
func fleets(ctx context.Context, e *environment) ([]row, error) {
	d, err := e.startServer(ctx, exec.CommandContext, "127.0.0.1", "--dangerous-disable-rate-limits", "--log-level", "error")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	tokens, err := makeAgents(ctx, d, fleetSize)
	if err != nil {
		return nil, err
	}
	// What making them left in the server's memory is not theirs.
	if err := errors.Join(d.server.Close(), d.start(ctx)); err != nil {
		return nil, err
	}
	fleet, base, err := startFleet(ctx, e, d, tokens)
	if err != nil {
		return nil, err
	}
	defer fleet.Close()
	return fleetRows(ctx, d, fleet, base, len(tokens))
}

func fleetRows(ctx context.Context, d *deployment, fleet *process, base float64, n int) ([]row, error) {
	perAgent := func() (float64, error) {
		now, err := rss(d.server.cmd.Process.Pid)
		return (now - base) * mega / 1024 / float64(n), err
	}
	if _, err := fleet.await(ctx, "all live 1"); err != nil {
		return nil, err
	}
	writes, err := writesWhile(ctx, filepath.Join(d.dir, "data"), idleWindow)
	if err != nil {
		return nil, err
	}
	memory, err := perAgent()
	if err != nil {
		return nil, err
	}
	rows := []row{
		{name: fmt.Sprintf("server, RSS per idle agent, %d agents", n), value: memory, unit: "KiB", limits: []limit{atMost(60)}},
		{name: fmt.Sprintf("server, database writes in %v idle, %d agents", idleWindow, n), value: writes, unit: "writes", limits: []limit{atMost(0)}},
	}
	began := time.Now()
	if err := errors.Join(d.server.kill9(), d.start(ctx)); err != nil {
		return rows, err
	}
	if _, err := fleet.await(ctx, "all live 2"); err != nil {
		return rows, err
	}
	rows = append(rows, row{name: fmt.Sprintf("%d agents back after kill -9 of the server", n), value: time.Since(began).Seconds(), unit: "s", limits: []limit{atMost(15)}})
	if err := fleet.say("relay"); err != nil {
		return rows, err
	}
	if _, err := fleet.await(ctx, "all relayed"); err != nil {
		return rows, err
	}
	memory, err = perAgent()
	return append(rows, row{name: fmt.Sprintf("server, RSS per idle agent with its relay connection, %d agents", n), value: memory, unit: "KiB"}), err
}

// startFleet returns the process and the server's memory before it, in MB.
func startFleet(ctx context.Context, e *environment, d *deployment, tokens []string) (*process, float64, error) {
	if _, err := output(d.user(ctx, exec.CommandContext, d.coder, "list")); err != nil { // the server has answered something
		return nil, 0, err
	}
	base, err := rss(d.server.cmd.Process.Pid)
	if err != nil {
		return nil, 0, err
	}
	file := filepath.Join(d.dir, "tokens")
	if err := os.WriteFile(file, []byte(strings.Join(tokens, "\n")), 0o600); err != nil {
		return nil, 0, err
	}
	fleet, err := e.part(ctx, nil, "fleet", d.url, file)
	return fleet, base, err
}

// makeAgents makes workspaces and returns the tokens of their agents.
func makeAgents(ctx context.Context, d *deployment, n int) ([]string, error) {
	raw, err := output(d.user(ctx, exec.CommandContext, d.coder, "tokens", "create", "--name", "bench"))
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(d.url)
	if err != nil {
		return nil, err
	}
	c := &api.Client{URL: u, Token: strings.TrimSpace(raw), HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: fleetMakers}}}
	defer c.HTTP.CloseIdleConnections()
	template, err := c.TemplateByName(ctx, "default", "byo")
	if err != nil {
		return nil, err
	}
	tokens := make([]string, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fleetMakers)
	for i := range tokens {
		g.Go(func() error {
			ws, err := c.CreateWorkspace(ctx, api.Me, api.CreateWorkspaceRequest{TemplateID: &template.ID, Name: fmt.Sprintf("ws-%d", i)})
			if err != nil {
				return err
			}
			got, err := c.ExternalAgentCredentials(ctx, ws.ID, "main")
			tokens[i] = got.AgentToken
			return err
		})
	}
	return tokens, g.Wait()
}

// writesWhile counts how often the files of the database change.
func writesWhile(ctx context.Context, dir string, d time.Duration) (float64, error) {
	last, err := fileStates(dir)
	if err != nil {
		return 0, err
	}
	tick, end := time.NewTicker(50*time.Millisecond), time.After(d)
	defer tick.Stop()
	writes := 0
	for {
		select {
		case <-tick.C:
		case <-end:
			return float64(writes), nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		now, err := fileStates(dir)
		if err != nil {
			return 0, err
		}
		if now != last {
			writes++
		}
		last = now
	}
}

// fileStates tells the files of a directory by size and time of change; those
// that SQLite maps into memory to coordinate readers do not count.
func fileStates(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, entry := range entries {
		if entry.IsDir() || strings.HasSuffix(entry.Name(), "-shm") {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&all, entry.Name(), info.Size(), info.ModTime().UnixNano())
	}
	return all.String(), nil
}
