//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
	tailnetproto "github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

// errNetwork marks a node that could not be started: not the server's fault,
// and no better at the next try.
var errNetwork = errors.New("start the network")

// Waits between two tries to reach the server. The longest, with its jitter,
// lets an agent be back within 2.25 s of a restart of the server and its relay,
// which admits it only then; the jitter spreads thousands of agents over that
// time.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 1500 * time.Millisecond
)

// settledAfter is how long a session must have lasted for the next try to be
// made at once.
const settledAfter = 10 * time.Second

// stayConnected holds a session with the server until ctx ends, and redials
// when it breaks. It returns an error only when trying again cannot help.
func (a *Agent) stayConnected(ctx context.Context) error {
	wait := firstRetry
	for {
		began := time.Now()
		err := a.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrTokenDead), errors.Is(err, ErrReplaced), errors.Is(err, errNetwork):
			return err
		case time.Since(began) > settledAfter:
			wait = firstRetry
		}
		a.cfg.Status("not connected to " + a.cfg.Client.URL.String() + ", trying again: " + err.Error())
		a.log.Warn("not connected to the server, trying again", "url", a.cfg.Client.URL.String(), "err", err)
		select {
		case <-time.After(jitter(wait)):
		case <-ctx.Done():
			return nil
		}
		wait = min(2*wait, lastRetry)
	}
}

// jitter returns a time between half and one and a half of d.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d)
}

// session holds one connection to the server until it breaks; it never
// returns nil.
func (a *Agent) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := a.cfg.Client.AgentRPC(ctx)
	if err != nil {
		return refusal(err)
	}
	defer conn.Close()
	if err := a.serve(ctx, conn); err != nil {
		return ending(conn, err)
	}
	return errors.New("the server ended the session")
}

func (a *Agent) serve(ctx context.Context, conn *wire.Conn) error {
	rpc := proto.NewDRPCAgentClient(conn)
	manifest, err := rpc.GetManifest(ctx, &proto.GetManifestRequest{})
	if err != nil {
		return fmt.Errorf("get the manifest: %w", err)
	}
	n, err := a.ensureNetwork(ctx, manifest)
	if err != nil {
		return err
	}
	a.connected.Store(true)
	defer a.connected.Store(false)
	a.cfg.Status("connected to " + a.cfg.Client.URL.String() + " as " + manifest.GetWorkspaceName())
	a.log.Info("connected to the server", "url", a.cfg.Client.URL.String(), "workspace", manifest.GetWorkspaceName())

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.reportStartup(ctx, rpc, manifest) })
	g.Go(func() error { return a.lifecycle.report(ctx, rpc) })
	g.Go(func() error { return a.reportStats(ctx, rpc, n) })
	g.Go(func() error { return a.reportConnections(ctx, rpc, n) })
	g.Go(func() error { return a.reportScripts(ctx, rpc, n) })
	g.Go(func() error { return a.reportResources(ctx, rpc) })
	g.Go(func() error { return a.reportMetadata(ctx, rpc, n) })
	g.Go(func() error { return a.reportApps(ctx, rpc, n) })
	g.Go(func() error { return n.followBanners(ctx, rpc) })
	g.Go(func() error { return n.coordinate(ctx, tailnetproto.NewDRPCTailnetClient(conn)) })
	g.Go(func() error {
		select {
		case <-conn.Closed():
			return errors.New("the connection to the server broke")
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return g.Wait()
}

func (a *Agent) reportStartup(ctx context.Context, rpc proto.DRPCAgentClient, m *proto.Manifest) error {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	_, err = rpc.UpdateStartup(ctx, &proto.UpdateStartupRequest{Startup: &proto.Startup{
		Version: a.cfg.Version, ExpandedDirectory: directory(m.GetDirectory(), home),
	}})
	if err != nil {
		return fmt.Errorf("report the version: %w", err)
	}
	return nil
}

// refusal tells answers that are final from those that are not. A token may be
// unknown for a while: a workspace can start before its build has ended.
func refusal(err error) error {
	var e *api.Error
	if errors.As(err, &e) && e.StatusCode == http.StatusUnauthorized && e.Detail == api.DetailAgentTokenDead {
		return fmt.Errorf("%w: %s", ErrTokenDead, e.Detail)
	}
	return err
}

// ending explains the end of a session by what the server said when it closed
// the connection.
func ending(conn *wire.Conn, err error) error {
	var closed websocket.CloseError
	if !errors.As(conn.Cause(), &closed) {
		return err
	}
	switch {
	case strings.HasPrefix(closed.Reason, api.ReasonAgentReplaced):
		return ErrReplaced
	case closed.Reason != "":
		return fmt.Errorf("the server closed the connection: %s", closed.Reason)
	}
	return err
}
