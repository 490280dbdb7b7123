package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// restart is one run of restart: a stop, unless the workspace is stopped, and a
// start.
type restart struct {
	yes   bool
	start transition
}

func restartCommand(g *globals) *cobra.Command {
	o := &restart{start: transition{do: api.TransitionStart, done: "running", reason: "cli"}}
	cmd := &cobra.Command{
		Use:               "restart WORKSPACE",
		Short:             "Stop a workspace and start it again",
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
			return o.run(cmd, c, ws)
		},
	}
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	o.start.parameters.register(cmd.Flags())
	return cmd
}

func (o *restart) run(cmd *cobra.Command, c *api.Client, ws api.Workspace) error {
	if _, err := o.start.parameters.values(); err != nil { // before anything is stopped
		return err
	}
	if !o.yes {
		if err := newPrompts().confirm(cmd.Context(), fmt.Sprintf("Restart workspace %q?", ws.Name)); err != nil {
			return err
		}
	}
	if err := o.start.parameters.settle(cmd.Context(), c, ws.LatestBuild.TemplateVersionID, ws.LatestBuild.ID); err != nil {
		return err // before anything is stopped
	}
	stop := transition{do: api.TransitionStop, done: "stopped", reason: "cli", yes: true}
	if err := stop.run(cmd, c, ws); err != nil {
		return err
	}
	ws, err := c.Workspace(cmd.Context(), ws.ID)
	if err != nil {
		return err
	}
	return o.start.run(cmd, c, ws)
}

func renameCommand(g *globals) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "rename WORKSPACE NAME",
		Short: "Give a workspace another name",
		Long: "Give a workspace another name. Templates may use the name for what they make, so that the\n" +
			"next start makes it anew: a volume that has the name of the workspace, say.",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := newName(args[1])
			if err == nil && name.owner != api.Me {
				err = withHint(fmt.Errorf("%q has an owner in it, who stays", args[1]), "give only the name")
			}
			if err != nil {
				return err
			}
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			ws, err := workspace(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if !yes {
				if err := newPrompts().confirm(cmd.Context(), fmt.Sprintf("Rename workspace %q to %q?", ws.Name, name.workspace)); err != nil {
					return err
				}
			}
			if err := c.RenameWorkspace(cmd.Context(), ws.ID, name.workspace); err != nil {
				return fmt.Errorf("rename workspace %q: %w", ws.Name, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Workspace %q is %q now.\n", ws.Name, name.workspace)
			return err
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
