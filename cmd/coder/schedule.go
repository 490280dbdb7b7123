package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func scheduleCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "schedule", Short: "Say when a workspace stops by itself", Args: cobra.NoArgs}
	cmd.AddCommand(scheduleStopCommand(g), scheduleExtendCommand(g))
	return cmd
}

func scheduleStopCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "stop WORKSPACE DURATION|manual",
		Short: "Have a workspace stop so long after its start, if nobody uses it",
		Long: "Have a workspace stop so long after its start, if nobody uses it: what is typed\n" +
			"into it keeps it up for an hour more, and so does coder keepalive. \"manual\" has it\n" +
			"run until somebody stops it. A deadline that is set already stays.",
		Example:           "  coder schedule stop dev 8h\n  coder schedule stop dev manual",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			var ttl time.Duration
			if args[1] != "manual" {
				var err error
				if ttl, err = time.ParseDuration(args[1]); err != nil || ttl <= 0 {
					return fmt.Errorf("%q: want a duration like 8h or 90m, or manual", args[1])
				}
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
			if err := c.UpdateTTL(ctx, ws.ID, ttl); err != nil {
				return err
			}
			if ttl == 0 {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Workspace %q does not stop by itself.\n", ws.Name)
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Workspace %q stops %v after its start, if nobody uses it.\n", ws.Name, ttl)
			return err
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
			ctx := cmd.Context()
			c, err := g.client(ctx)
			if err != nil {
				return err
			}
			ws, err := workspace(ctx, c, args[0])
			if err != nil {
				return err
			}
			until := time.Now().Add(d)
			if err := c.Extend(ctx, ws.ID, until); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Workspace %q goes on until %s at least.\n", ws.Name, until.Format(time.RFC1123))
			return err
		},
	}
}
