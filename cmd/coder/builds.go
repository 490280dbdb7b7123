package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// The pauses between two looks at a build: short at first, because a build
// without infrastructure takes milliseconds.
const (
	firstPoll = 50 * time.Millisecond
	lastPoll  = 2 * time.Second
)

// await waits until a build has ended and returns an error unless it did what
// it should. On a terminal it shows what the build says.
func await(ctx context.Context, c *api.Client, b api.Build) error {
	p := showProgress("")
	defer p.end()
	return awaitBelow(ctx, c, b, p)
}

// awaitBelow is await for who shows a progress already.
func awaitBelow(ctx context.Context, c *api.Client, b api.Build, p *progress) error {
	if ended(b.Job.Status) {
		return outcome(b)
	}
	p.now(fmt.Sprintf("Waiting for workspace %s to %s", b.WorkspaceName, b.Transition))
	if p != nil {
		defer showBuild(ctx, c, b, p)()
	}
	news, stop := follow(ctx, c, b.WorkspaceID)
	defer stop()
	for pause := firstPoll; !ended(b.Job.Status); pause = min(2*pause, lastPoll) {
		var err error
		select {
		case ws := <-news:
			if ws.LatestBuild.ID == b.ID {
				b = ws.LatestBuild
			}
			continue
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		if b, err = c.Build(ctx, b.ID); err != nil {
			return err
		}
	}
	return outcome(b)
}

// lastLines is how long the last lines of a build may be on their way when its end
// is known.
const lastLines = 2 * time.Second

// showBuild prints what a build says until the function it returns is called, which
// waits for the last lines. That they cannot be shown is no reason to fail.
func showBuild(ctx context.Context, c *api.Client, b api.Build, p *progress) (finish func()) {
	ctx, cancel := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		_ = followBuild(ctx, c, b, newLogPrinter(p))
	}()
	return func() {
		defer cancel()
		defer time.AfterFunc(lastLines, cancel).Stop()
		<-shown
	}
}

func ended(s api.JobStatus) bool {
	return s == api.JobSucceeded || s == api.JobFailed || s == api.JobCanceled
}

func outcome(b api.Build) error {
	switch b.Job.Status {
	case api.JobSucceeded:
		return nil
	case api.JobCanceled:
		return fmt.Errorf("%s of workspace %q was canceled", b.Transition, b.WorkspaceName)
	}
	reason := b.Job.Error
	if reason == "" {
		reason = "the server did not say why"
	}
	err := fmt.Errorf("%s of workspace %q failed: %s", b.Transition, b.WorkspaceName, reason)
	return withHint(err, "coder logs "+b.WorkspaceOwnerName+"/"+b.WorkspaceName)
}

// transition is one run of start, stop or delete.
type transition struct {
	do      api.Transition
	done    string // what was done, in the past
	yes     bool
	noWait  bool
	orphan  bool
	reason  string
	again   bool   // also a workspace that runs
	version string // of the template, by name or id, if again; empty is the active one

	parameters parameterFlags
}

func (tr *transition) command(g *globals, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use:               string(tr.do) + " WORKSPACE",
		Short:             short,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			ws, err := workspace(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return tr.run(cmd, c, ws)
		},
	}
	cmd.Flags().BoolVarP(&tr.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (tr *transition) run(cmd *cobra.Command, c *api.Client, ws api.Workspace) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	values, err := tr.parameters.values()
	if err != nil {
		return err
	}
	version, err := tr.templateVersion(ctx, c, ws)
	if err != nil {
		return err
	}
	same := len(values) == 0 && !tr.parameters.asks() && ws.LatestBuild.TemplateVersionID == version
	if already(ws.LatestBuild, tr.do) && (!tr.again || same) {
		if tr.again {
			_, err := fmt.Fprintf(out, "Workspace %q is up to date.\n", ws.Name)
			return err
		}
		_, err := fmt.Fprintf(out, "Workspace %q is %s already.\n", ws.Name, ws.LatestBuild.Status)
		return err
	}
	if !tr.yes && tr.do != api.TransitionStart {
		if err := newPrompts().confirm(ctx, fmt.Sprintf("%s workspace %q?", capital(string(tr.do)), ws.Name)); err != nil {
			return err
		}
	}
	if err := tr.parameters.settle(ctx, c, version, ws.LatestBuild.ID); err != nil {
		return err
	}
	if values, err = tr.parameters.values(); err != nil {
		return err
	}
	req := api.CreateBuildRequest{Transition: tr.do, Orphan: tr.orphan, Reason: tr.reason, RichParameterValues: values}
	if tr.again {
		req.TemplateVersionID = &version
	}
	build, err := c.CreateBuild(ctx, ws.ID, req)
	if err != nil {
		return busy(err, ws)
	}
	if tr.noWait {
		return nil
	}
	if err := await(ctx, c, build); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Workspace %q is %s.\n", ws.Name, tr.done)
	return err
}

// templateVersion is what the workspace is built of.
func (tr *transition) templateVersion(ctx context.Context, c *api.Client, ws api.Workspace) (uuid.UUID, error) {
	switch {
	case tr.version != "":
		return findVersion(ctx, c, ws.TemplateID, tr.version)
	case tr.again:
		return ws.TemplateActiveVersionID, nil
	}
	return ws.LatestBuild.TemplateVersionID, nil
}

// findVersion is the version of a template that has this name or id.
func findVersion(ctx context.Context, c *api.Client, template uuid.UUID, name string) (uuid.UUID, error) {
	all, err := c.TemplateVersions(ctx, template)
	if err != nil {
		return uuid.Nil, err
	}
	var names []string
	for _, v := range all {
		if v.Name == name || v.ID.String() == name {
			return v.ID, nil
		}
		names = append(names, v.Name)
	}
	return uuid.Nil, withHint(fmt.Errorf("--template-version %q: the template has no such version", name), "its versions: "+strings.Join(names, ", "))
}

// already reports whether a workspace is, by its latest build, where a
// transition leads.
func already(b api.Build, do api.Transition) bool {
	return b.Status == api.BuildRunning && do == api.TransitionStart ||
		b.Status == api.BuildStopped && do == api.TransitionStop
}

// busy says what a refused build waits for.
func busy(err error, ws api.Workspace) error {
	var refused *api.Error
	if errors.As(err, &refused) && refused.StatusCode == http.StatusConflict {
		return withHint(err, "wait until the build that runs has ended: coder show "+ws.Name)
	}
	return err
}

func capital(s string) string {
	return string(s[0]-'a'+'A') + s[1:]
}

// completeWorkspaces offers the user's workspaces to the shell.
func completeWorkspaces(g *globals) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return ownWorkspaces(g, cmd, args)
	}
}

func ownWorkspaces(g *globals, cmd *cobra.Command, args []string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second) // as long as a user waits after Tab
	defer cancel()
	if err := readEnv(cmd.Flags()); err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	c, err := g.client(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	found, err := c.Workspaces(ctx, "owner:me", 0)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, ws := range found.Workspaces {
		names = append(names, ws.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
