package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berthdev/berth/agent/pty"
	"github.com/berthdev/berth/server/api"
)

// expCommand is for scripts of other command lines, which have their newest
// commands below it.
func expCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "exp", Short: "Commands that other command lines have under this name", Hidden: true}
	cmd.AddCommand(rptyCommand(g))
	return cmd
}

// rpty is one run of exp rpty: a terminal that comes through the server, as in the
// browser, where no packet of ours gets out.
type rpty struct {
	target        target
	command       string
	reconnect     string
	container     string // refused
	containerUser string

	id uuid.UUID
}

func rptyCommand(g *globals) *cobra.Command {
	o := &rpty{}
	cmd := &cobra.Command{
		Use:   "rpty WORKSPACE[.AGENT] [COMMAND...]",
		Short: "Look at a terminal of a workspace through the server",
		Long: "Look at a terminal of a workspace through the server, by one WebSocket, as browsers do.\n" +
			"With a command it runs that; without a terminal here it shows what that prints.\n" +
			"See coder terminal for terminals by the way that coder ssh takes.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parse(args); err != nil {
				return err
			}
			return o.run(cmd.Context(), g)
		},
	}
	fs := cmd.Flags()
	fs.SetInterspersed(false) // the flags after the command are the command's
	fs.StringVarP(&o.reconnect, "reconnect", "r", "", "`UUID` of the terminal to come back to")
	fs.StringVarP(&o.container, "container", "c", "", "refused: agents of this make run no dev containers")
	fs.StringVarP(&o.containerUser, "container-user", "u", "", "refused with --container")
	for _, name := range []string{"container", "container-user"} {
		fs.Lookup(name).Hidden = true
	}
	return cmd
}

func (o *rpty) parse(args []string) (err error) {
	if o.container != "" {
		return withHint(errors.New("--container: there are no dev containers in workspaces of this server"), "coder exp rpty "+args[0]+" docker exec -it "+o.container+" sh")
	}
	o.id = uuid.New()
	if o.reconnect != "" {
		if o.id, err = uuid.Parse(o.reconnect); err != nil || o.id == uuid.Nil {
			return fmt.Errorf("--reconnect %q: want the UUID of a terminal", o.reconnect)
		}
	}
	words := args[1:]
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	o.command = strings.Join(words, " ")
	o.target, err = parseTarget(args[0])
	return err
}

func (o *rpty) run(ctx context.Context, g *globals) error {
	c, err := g.client(ctx)
	if err != nil {
		return err
	}
	p := showProgress("Connecting to " + o.target.String())
	defer p.end()
	ready := &sshOptions{wait: "no", target: o.target}
	_, agent, err := ready.ready(ctx, c, p)
	if err != nil {
		return err
	}
	size := ourTerminal()
	conn, err := c.Terminal(ctx, agent.ID, api.TerminalRequest{ID: o.id, Command: o.command, Width: uint16(size.Columns), Height: uint16(size.Rows)})
	if err != nil {
		return fmt.Errorf("open a terminal: %w", err)
	}
	p.end()
	client := pty.ClientOf(conn)
	defer client.Close()
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return pipeTerminal(ctx, client)
	}
	restore, err := makeRaw(stdin)
	if err != nil {
		return fmt.Errorf("prepare the terminal: %w", err)
	}
	defer restore()
	return showTerminal(ctx, client, fmt.Sprintf("coder exp rpty -r %s %s", o.id, o.target))
}

// pipeTerminal types what stdin has, and prints what the terminal shows until its
// program ends.
func pipeTerminal(ctx context.Context, client *pty.Client) error {
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	go func() { // left behind in its read
		_, _ = io.Copy(client, os.Stdin)
	}()
	_, err := io.Copy(os.Stdout, client)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("show the terminal: %w", err)
	}
	return nil
}
