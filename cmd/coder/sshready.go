package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

// ready returns the workspace and its agent once the workspace runs and its
// start scripts are where --wait wants them.
func (o *sshOptions) ready(ctx context.Context, c *api.Client, p *progress) (api.Workspace, api.Agent, error) {
	ws, err := o.target.find(ctx, c)
	if err != nil {
		return ws, api.Agent{}, err
	}
	if ws.LatestBuild.Status != api.BuildRunning {
		if ws, err = o.running(ctx, c, ws, p); err != nil {
			return ws, api.Agent{}, err
		}
	}
	agent, err := o.target.pick(ws)
	if err != nil {
		return ws, agent, err
	}
	if o.mustWait(agent) {
		p.now("Waiting for the start scripts of " + ws.Name)
		news, stop := follow(ctx, c, ws.ID)
		defer stop()
		agent, err = awaitScripts(ctx, c, agent, news, p, !o.stdio)
	}
	return ws, agent, err
}

// running sees to it that a workspace runs: it waits for a build that makes it
// so, or begins one.
func (o *sshOptions) running(ctx context.Context, c *api.Client, ws api.Workspace, p *progress) (api.Workspace, error) {
	b := ws.LatestBuild
	starting := b.Transition == api.TransitionStart && !ended(b.Job.Status)
	switch {
	case starting:
	case b.Transition == api.TransitionDelete:
		return ws, withHint(fmt.Errorf("workspace %q is %s", ws.Name, b.Status), "coder list")
	case o.disableAutostart:
		return ws, withHint(fmt.Errorf("workspace %q is %s", ws.Name, b.Status), "coder start "+o.target.workspaceName())
	default:
		if !ended(b.Job.Status) { // it stops; then it can be started
			if err := awaitBelow(ctx, c, b, p); err != nil {
				return ws, err
			}
		}
		fmt.Fprintf(p, "Workspace %q is stopped. Starting it.\n", ws.Name)
		var err error
		if b, err = o.autostart(ctx, c, ws); err != nil {
			return ws, err
		}
	}
	if err := awaitBelow(ctx, c, b, p); err != nil {
		return ws, err
	}
	return o.target.find(ctx, c)
}

// autostart begins a start build. When somebody else did, it is theirs; when
// the version may not be used any more, it is the active one.
func (o *sshOptions) autostart(ctx context.Context, c *api.Client, ws api.Workspace) (api.Build, error) {
	req := api.CreateBuildRequest{Transition: api.TransitionStart, Reason: "ssh_connection"}
	b, err := c.CreateBuild(ctx, ws.ID, req)
	switch api.StatusCode(err) {
	case http.StatusConflict:
		now, err := c.Workspace(ctx, ws.ID)
		return now.LatestBuild, err
	case http.StatusForbidden:
		req.TemplateVersionID = &ws.TemplateActiveVersionID
		return c.CreateBuild(ctx, ws.ID, req)
	}
	return b, err
}

// workspaceName names the workspace of a target without its agent.
func (t target) workspaceName() string {
	t.agent = ""
	return t.String()
}

// mustWait reports whether the start scripts are to be waited for.
func (o *sshOptions) mustWait(a api.Agent) bool {
	if o.noWait || o.wait == "no" || !startIsAhead(a.LifecycleState) {
		return false
	}
	return o.wait == "yes" || a.StartupScriptBehavior == "blocking"
}

// usageEvery is how often an open session counts as use.
const usageEvery = time.Minute

// reportUsage counts the session as use of the workspace, at once and, unless the
// agent does that itself by what comes in, each minute until ctx ends. Nothing
// waits for it.
func (o *sshOptions) reportUsage(ctx context.Context, c *api.Client, ws api.Workspace, a api.Agent, log *slog.Logger) {
	if o.usageApp == "disable" {
		return
	}
	tick := time.NewTicker(usageEvery)
	defer tick.Stop()
	for {
		if err := c.ReportUsage(ctx, ws.ID, usage(a.ID, o.usageApp)); err != nil && ctx.Err() == nil {
			log.Debug("cannot report usage", "err", err)
		}
		if isOurs(a) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func usage(agent uuid.UUID, app string) api.UsageRequest {
	return api.UsageRequest{AgentID: &agent, AppName: app}
}
