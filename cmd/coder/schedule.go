package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func scheduleCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "schedule", Short: "Say when a workspace starts and stops by itself", Args: cobra.NoArgs}
	cmd.AddCommand(scheduleShowCommand(g), scheduleStartCommand(g), scheduleStopCommand(g), scheduleExtendCommand(g))
	return cmd
}

func scheduleStopCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "stop WORKSPACE DURATION|manual",
		Short: "Have a workspace stop so long after its start, if nobody uses it",
		Long: "Have a workspace stop so long after its start, if nobody uses it: what is typed\n" +
			"into it keeps it up for an hour more, and so does coder keepalive. \"manual\" has it\n" +
			"run until somebody stops it. Another duration leaves a deadline that is set already.",
		Example:           "  coder schedule stop dev 8h\n  coder schedule stop dev manual",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			ch := workspaceChange{done: "Workspace %q does not stop by itself.\n"}
			var ttl time.Duration
			if args[1] != "manual" {
				var err error
				if ttl, err = time.ParseDuration(args[1]); err != nil || ttl <= 0 {
					return fmt.Errorf("%q: want a duration like 8h or 90m, or manual", args[1])
				}
				ch.done = "Workspace %q stops " + ttl.String() + " after its start, if nobody uses it.\n"
			}
			ch.do = func(ctx context.Context, c *api.Client, ws api.Workspace) error { return c.UpdateTTL(ctx, ws.ID, ttl) }
			return ch.run(cmd, g, args[0])
		},
	}
}

func scheduleExtendCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "extend WORKSPACE DURATION",
		Aliases:           []string{"override-stop"},
		Short:             "Put the stop of a workspace off, to so long from now",
		Example:           "  coder schedule extend dev 3h",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := time.ParseDuration(args[1])
			if err != nil || d <= 0 {
				return fmt.Errorf("%q: want a duration like 3h or 90m", args[1])
			}
			until := time.Now().Add(d)
			return workspaceChange{
				done: "Workspace %q goes on until " + until.Format(time.RFC1123) + " at least.\n",
				do:   func(ctx context.Context, c *api.Client, ws api.Workspace) error { return c.Extend(ctx, ws.ID, until) },
			}.run(cmd, g, args[0])
		},
	}
}
