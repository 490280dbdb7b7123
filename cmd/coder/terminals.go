package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berthdev/berth/agent/pty"
	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/server/api"
)

func terminalCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "terminal",
		Short: "Open terminals that outlive whoever looks at them",
		Long: "Open terminals that outlive whoever looks at them.\n\n" +
			"A terminal is a shell or program in a workspace together with its screen. It goes on\n" +
			"when you leave it, and several people and browsers can look at it at once.",
	}
	cmd.AddCommand(terminalListCommand(g), terminalAttachCommand(g), terminalKillCommand(g))
	return cmd
}

// withAgent calls use with a way to the agent of a workspace.
func withAgent(ctx context.Context, g *globals, name string, use func(*connect.Conn) error) error {
	at, err := parseTarget(name)
	if err != nil {
		return err
	}
	o := &sshOptions{wait: "auto", target: at}
	return o.withAgent(ctx, g, func(way way) error { return use(way.conn) })
}

// way is an agent that can be dialed.
type way struct {
	client    *api.Client
	conn      *connect.Conn
	workspace api.Workspace
	agent     api.Agent
}

// withAgent starts the workspace if that is wanted, and calls use when its agent
// is there.
func (o *sshOptions) withAgent(ctx context.Context, g *globals, use func(way) error) error {
	c, err := g.client(ctx)
	if err != nil {
		return err
	}
	conn := connect.Open(connect.Config{Client: c, BlockDirect: g.disableDirect, Logger: g.logger()})
	defer conn.Close()
	p := showProgress("Connecting to " + o.target.String())
	defer p.end()
	ws, agent, err := o.ready(ctx, c, p)
	if err != nil {
		return err
	}
	if err := reach(ctx, conn, agent, p); err != nil {
		return err
	}
	p.end()
	return use(way{c, conn, ws, agent})
}

// reach waits for the agent to be there.
func reach(ctx context.Context, conn *connect.Conn, agent api.Agent, p *progress) error {
	if err := conn.Reach(ctx, agent.ID); err != nil {
		return err
	}
	p.now(fmt.Sprintf("Waiting for the agent %s to answer", agent.Name))
	defer tellLate(ctx, conn, agent)()
	select {
	case <-conn.Known():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func terminalListCommand(g *globals) *cobra.Command {
	f := &format[pty.Info]{columns: terminalColumns(time.Now())}
	cmd := &cobra.Command{
		Use:               "list WORKSPACE",
		Aliases:           []string{"ls"},
		Short:             "List the terminals of a workspace",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAgent(cmd.Context(), g, args[0], func(conn *connect.Conn) error {
				list, err := conn.Terminals(cmd.Context())
				if err != nil {
					return err
				}
				if len(list) == 0 && f.output == "table" {
					fmt.Fprintf(cmd.ErrOrStderr(), "No terminals. Open one: coder terminal attach %s\n", args[0])
					return nil
				}
				return f.print(cmd.OutOrStdout(), list, nil)
			})
		},
	}
	f.register(cmd)
	return cmd
}

func terminalColumns(now time.Time) []column[pty.Info] {
	return []column[pty.Info]{
		{name: "id", value: func(t pty.Info) string { return t.ID.String()[:8] }},
		{name: "command", value: func(t pty.Info) string { return orShell(t.Command) }},
		{name: "title", value: func(t pty.Info) string { return t.Title }},
		{name: "size", value: func(t pty.Info) string { return fmt.Sprintf("%dx%d", t.Width, t.Height) }},
		{name: "viewers", value: func(t pty.Info) string { return fmt.Sprint(t.Viewers) }},
		{name: "opened", value: func(t pty.Info) string { return ago(t.Created, now) }},
		{name: "state", value: terminalState},
		{name: "pid", value: func(t pty.Info) string { return fmt.Sprint(t.PID) }, hidden: true},
		{name: "full id", value: func(t pty.Info) string { return t.ID.String() }, hidden: true},
	}
}

func orShell(command string) string {
	if command == "" {
		return "shell"
	}
	return command
}

func terminalState(t pty.Info) string {
	if t.Ended {
		return fmt.Sprintf("ended (%d)", t.ExitCode)
	}
	return "running"
}

func terminalKillCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "kill WORKSPACE ID",
		Short:             "End a terminal and its program",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAgent(cmd.Context(), g, args[0], func(conn *connect.Conn) error {
				t, err := findTerminal(cmd.Context(), conn, args[0], args[1])
				if err != nil {
					return err
				}
				return conn.KillTerminal(cmd.Context(), t.ID)
			})
		},
	}
}

// findTerminal returns the terminal whose id begins so.
func findTerminal(ctx context.Context, conn *connect.Conn, workspace, id string) (pty.Info, error) {
	list, err := conn.Terminals(ctx)
	if err != nil {
		return pty.Info{}, err
	}
	var found []pty.Info
	for _, t := range list {
		if strings.HasPrefix(t.ID.String(), strings.ToLower(id)) {
			found = append(found, t)
		}
	}
	hint := "coder terminal list " + workspace
	switch len(found) {
	case 0:
		return pty.Info{}, withHint(fmt.Errorf("terminal %q not found", id), hint)
	case 1:
		return found[0], nil
	}
	return pty.Info{}, withHint(fmt.Errorf("%d terminals begin with %q", len(found), id), hint)
}

// attaching is one run of terminal attach.
type attaching struct {
	workspace, id, command string
	fresh                  bool
}

func terminalAttachCommand(g *globals) *cobra.Command {
	a := &attaching{}
	cmd := &cobra.Command{
		Use:   "attach WORKSPACE [ID] [-- COMMAND...]",
		Short: "Look at a terminal of a workspace and type into it",
		Long: "Look at a terminal of a workspace and type into it.\n\n" +
			"Without an ID it takes the one that runs, or opens one when there is none. With a command,\n" +
			"or --new, it opens one. The start of an ID is enough. At the start of a line, ~. leaves the\n" +
			"terminal, which goes on.",
		Example:           "  coder terminal attach blue-fox\n  coder terminal attach blue-fox -- htop",
		Args:              a.parse,
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withAgent(cmd.Context(), g, a.workspace, func(conn *connect.Conn) error { return a.run(cmd.Context(), conn) })
		},
	}
	cmd.Flags().BoolVar(&a.fresh, "new", false, "open another terminal")
	return cmd
}

func (a *attaching) parse(cmd *cobra.Command, args []string) error {
	dash := cmd.ArgsLenAtDash()
	if dash >= 0 {
		a.command = strings.Join(args[dash:], " ")
		args = args[:dash]
	}
	switch {
	case len(args) == 0:
		return withHint(errors.New("no workspace given"), cmd.CommandPath()+" --help")
	case len(args) > 2:
		return withHint(fmt.Errorf("unexpected argument %q", args[2]), "a command follows --")
	}
	if a.workspace = args[0]; len(args) == 2 {
		a.id = args[1]
	}
	if a.id != "" && (a.fresh || a.command != "") {
		return errors.New("an ID is that of an open terminal: it goes neither with --new nor with a command")
	}
	return nil
}

// run shows the terminal until its program ends or the user leaves.
func (a *attaching) run(ctx context.Context, conn *connect.Conn) error {
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return withHint(errors.New("stdin is no terminal"), "coder ssh runs commands without one")
	}
	init, err := a.choose(ctx, conn)
	if err != nil {
		return err
	}
	size := ourTerminal()
	init.Width, init.Height = uint16(size.Columns), uint16(size.Rows)
	client, err := conn.Terminal(ctx, init)
	if err != nil {
		return err
	}
	defer client.Close()
	restore, err := makeRaw(stdin)
	if err != nil {
		return fmt.Errorf("prepare the terminal: %w", err)
	}
	defer restore()
	return showTerminal(ctx, client, fmt.Sprintf("coder terminal attach %s %.8s", a.workspace, init.ID))
}

// choose says which terminal is meant.
func (a *attaching) choose(ctx context.Context, conn *connect.Conn) (pty.Init, error) {
	if a.fresh || a.command != "" {
		return pty.Init{ID: uuid.New(), Command: a.command}, nil
	}
	if a.id != "" {
		t, err := findTerminal(ctx, conn, a.workspace, a.id)
		return pty.Init{ID: t.ID, MustExist: true}, err
	}
	list, err := conn.Terminals(ctx)
	if err != nil {
		return pty.Init{}, err
	}
	var running []pty.Info
	for _, t := range list {
		if !t.Ended {
			running = append(running, t)
		}
	}
	switch len(running) {
	case 0:
		return pty.Init{ID: uuid.New()}, nil
	case 1:
		return pty.Init{ID: running[0].ID, MustExist: true}, nil
	}
	return pty.Init{}, withHint(fmt.Errorf("%d terminals are open", len(running)),
		"coder terminal list "+a.workspace+" names them; --new opens another")
}
