package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berthdev/berth/server/api"
)

// logsOptions are the flags of coder logs.
type logsOptions struct {
	follow bool
	build  string
}

func logsCommand(g *globals) *cobra.Command {
	o := &logsOptions{}
	cmd := &cobra.Command{
		Use:   "logs WORKSPACE[.AGENT]",
		Short: "Show the log of a workspace's build and scripts",
		Long: "Show what the last build of a workspace said, and what the scripts of its agents\n" +
			"print. With --follow it goes on until you interrupt it, also while the agent or the\n" +
			"server is away. Lines from stderr are red on a terminal.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd, g, args[0]) },
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "go on as lines come")
	cmd.Flags().StringVarP(&o.build, "build-number", "n", "", "`number` of the build, or -1 for the one before the last; of an older one its build only is known")
	return cmd
}

func (o *logsOptions) run(cmd *cobra.Command, g *globals, name string) error {
	ctx := cmd.Context()
	t, err := parseTarget(name)
	if err != nil {
		return err
	}
	c, err := g.client(ctx)
	if err != nil {
		return err
	}
	ws, err := t.find(ctx, c)
	if err != nil {
		return err
	}
	b, err := o.pick(ctx, c, ws)
	if err != nil {
		return err
	}
	out := newLogPrinter(cmd.OutOrStdout())
	lines, err := c.BuildLogs(ctx, b.ID, 0)
	if err != nil {
		return err
	}
	for _, l := range lines {
		out.build(l)
	}
	if err := o.agents(ctx, c, b, t.agent, out); err != nil {
		return err
	}
	return out.err
}

// pick is the build that was asked for.
func (o *logsOptions) pick(ctx context.Context, c *api.Client, ws api.Workspace) (api.Build, error) {
	if o.build == "" {
		return ws.LatestBuild, nil
	}
	n, err := strconv.ParseInt(o.build, 10, 64)
	if err != nil {
		return api.Build{}, fmt.Errorf("--build-number %q: want a number", o.build)
	}
	if n <= 0 {
		n += ws.LatestBuild.BuildNumber
	}
	b, err := c.BuildByNumber(ctx, ws.OwnerName, ws.Name, n)
	if err != nil {
		err = fmt.Errorf("build %d of workspace %q: %w", n, ws.Name, err)
	}
	return b, err
}

// agents prints what the scripts of agents say, all of them or the one of that
// name.
func (o *logsOptions) agents(ctx context.Context, c *api.Client, b api.Build, name string, out *logPrinter) error {
	var found []api.Agent
	for _, r := range b.Resources {
		for _, a := range r.Agents {
			if name == "" || a.Name == name {
				found = append(found, a)
			}
		}
	}
	if name != "" && len(found) == 0 {
		return withHint(fmt.Errorf("build %d has no agent %q", b.BuildNumber, name), "coder show "+b.WorkspaceName)
	}
	for _, a := range found {
		last := int64(0)
		lines, err := c.AgentLogs(ctx, a.ID, 0)
		if err != nil {
			return err
		}
		last = out.agent(a, lines, last)
		if a.LogsOverflowed {
			fmt.Fprintf(os.Stderr, "The server took no more of the log of agent %s; the files of its scripts have all of it.\n", printable(a.Name))
		}
		if o.follow && len(found) > 1 {
			return withHint(errors.New("the workspace has several agents"), "coder logs -f "+b.WorkspaceName+"."+a.Name)
		}
		if o.follow {
			return followAgent(ctx, c, a, last, out)
		}
	}
	return nil
}

// followAgent prints lines until ctx ends, which is no error.
func followAgent(ctx context.Context, c *api.Client, a api.Agent, last int64, out *logPrinter) error {
	return keepFollowing(ctx, out, func(heard func()) error {
		return c.FollowAgentLogs(ctx, a.ID, last, func(lines []api.AgentLog) error {
			heard()
			last = out.agent(a, lines, last)
			return out.err
		})
	})
}

// followBuild prints the lines of a build until it or ctx ends, which is no error.
func followBuild(ctx context.Context, c *api.Client, b api.Build, out *logPrinter) error {
	last := int64(0)
	return keepFollowing(ctx, out, func(heard func()) error {
		return c.FollowBuildLogs(ctx, b.ID, last, func(l api.JobLog) error {
			heard()
			last = l.ID
			out.build(l)
			return out.err
		})
	})
}

// keepFollowing follows a log again when the connection breaks, with shorter pauses
// once something was heard.
func keepFollowing(ctx context.Context, out *logPrinter, follow func(heard func()) error) error {
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		err := follow(func() { pause = firstPoll })
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil || api.StatusCode(err) != 0 || out.err != nil:
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// logPrinter prints lines with their time and source.
type logPrinter struct {
	w      io.Writer
	colour bool
	since  time.Time // lines of agents from before are left out
	err    error     // the first of writing
}

func newLogPrinter(w io.Writer) *logPrinter {
	p, isProgress := w.(*progress) // of stderr, which is a terminal unless p is nil
	f, isFile := w.(*os.File)
	return &logPrinter{w: w, colour: (isProgress && p != nil || isFile && term.IsTerminal(int(f.Fd()))) && os.Getenv("NO_COLOR") == ""}
}

// sourceColours tell sources apart; red is for errors.
var sourceColours = []int{36, 33, 35, 32, 34}

// line prints one line.
func (p *logPrinter) line(at time.Time, source string, isError bool, text string) {
	stamp := at.Local().Format(time.RFC3339)
	source, text = printable(source), strings.TrimRight(printable(text), " ")
	if p.colour {
		colour := sourceColours[hashOf(source)%len(sourceColours)]
		stamp, source = fmt.Sprintf("\x1b[2m%s\x1b[0m", stamp), fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, source)
		if isError {
			text = "\x1b[31m" + text + "\x1b[0m"
		}
	}
	if _, err := fmt.Fprintf(p.w, "%s [%s] %s\n", stamp, source, text); err != nil && p.err == nil {
		p.err = err
	}
}

// build prints a line of a build.
func (p *logPrinter) build(l api.JobLog) {
	p.line(l.CreatedAt, "build", l.LogLevel == "error", l.Output)
}

func hashOf(text string) (n int) {
	for _, b := range []byte(text) {
		n = n*31&0xffff + int(b)
	}
	return n
}

// agent prints lines of an agent and returns the id of the last.
func (p *logPrinter) agent(a api.Agent, lines []api.AgentLog, last int64) int64 {
	for _, l := range lines {
		if last = l.ID; l.CreatedAt.Before(p.since) {
			continue
		}
		p.line(l.CreatedAt, sourceName(a, l.SourceID), l.Level == "error", l.Output)
	}
	return last
}

// sourceName is what people call a stream of an agent's logs.
func sourceName(a api.Agent, id uuid.UUID) string {
	i := slices.IndexFunc(a.LogSources, func(s api.LogSource) bool { return s.ID == id })
	if i < 0 {
		return a.Name
	}
	return a.LogSources[i].DisplayName
}
