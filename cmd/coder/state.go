package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func stateCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "state", Short: "Read or replace what Terraform knows of a workspace", Args: cobra.NoArgs}
	cmd.AddCommand(statePullCommand(g), statePushCommand(g))
	return cmd
}

// stateOf is the state of a build: that of a number, or the latest for 0.
type stateOf struct{ number int64 }

func (s *stateOf) register(cmd *cobra.Command) {
	cmd.Flags().Int64VarP(&s.number, "build", "b", 0, "`number` of the build; the latest when it is 0")
}

func (s *stateOf) build(ctx context.Context, g *globals, name string) (*api.Client, api.Build, error) {
	c, err := g.client(ctx)
	if err != nil {
		return nil, api.Build{}, err
	}
	ws, err := workspace(ctx, c, name)
	if err != nil || s.number == 0 {
		return c, ws.LatestBuild, err
	}
	b, err := c.BuildByNumber(ctx, ws.OwnerName, ws.Name, s.number)
	if err != nil {
		err = fmt.Errorf("build %d of workspace %q: %w", s.number, ws.Name, err)
	}
	return c, b, err
}

func statePullCommand(g *globals) *cobra.Command {
	var of stateOf
	cmd := &cobra.Command{
		Use:   "pull WORKSPACE [FILE]",
		Short: "Write the state of a workspace to a file, or to stdout",
		Long: "Write the state of a workspace to a file, or to stdout. There are secrets in it: the file\n" +
			"is made for you alone, and only owners of the server may read it.",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, b, err := of.build(cmd.Context(), g, args[0])
			if err != nil {
				return err
			}
			state, err := c.BuildState(cmd.Context(), b.ID)
			switch {
			case err != nil:
				return err
			case len(args) == 2:
				return writeSecret(args[1], state)
			}
			_, err = cmd.OutOrStdout().Write(state)
			return err
		},
	}
	of.register(cmd)
	return cmd
}

func statePushCommand(g *globals) *cobra.Command {
	var of stateOf
	var noBuild bool
	cmd := &cobra.Command{
		Use:   "push WORKSPACE FILE|-",
		Short: "Replace the state of a workspace, and build it again with that",
		Long: "Replace the state of a workspace, and build it again with that. What is made and not in the\n" +
			"state is lost sight of. Only owners of the server may do this.",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			state, err := readState(args[1])
			if err != nil {
				return err
			}
			c, b, err := of.build(cmd.Context(), g, args[0])
			if err != nil {
				return err
			}
			if noBuild {
				err = c.SetBuildState(cmd.Context(), b.ID, state)
			} else {
				err = buildWith(cmd.Context(), c, b, state)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Workspace %q has the state of %s.\n", b.WorkspaceName, args[1])
			return err
		},
	}
	of.register(cmd)
	cmd.Flags().BoolVarP(&noBuild, "no-build", "n", false, "only keep the state, for the next build")
	return cmd
}

func readState(file string) (state []byte, err error) {
	if file == "-" {
		state, err = io.ReadAll(os.Stdin)
	} else {
		state, err = os.ReadFile(file)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the state: %w", err)
	case len(state) == 0:
		return nil, errors.New("the state is empty")
	case !json.Valid(state):
		return nil, errors.New("the state is not JSON, which Terraform keeps it as")
	}
	return state, nil
}

// writeSecret replaces a file at once by one that only the user may read. A pipe
// or device is written to.
func writeSecret(path string, content []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, content, 0)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	temporary, err := writeBeside(path, content)
	if err != nil {
		return err
	}
	defer os.Remove(temporary) // nothing left of it after the rename
	return os.Rename(temporary, path)
}

// buildWith does a build again, with a state.
func buildWith(ctx context.Context, c *api.Client, b api.Build, state []byte) error {
	next, err := c.CreateBuild(ctx, b.WorkspaceID, api.CreateBuildRequest{
		Transition: b.Transition, TemplateVersionID: &b.TemplateVersionID, State: state, Reason: "cli",
	})
	if err != nil {
		return err
	}
	return await(ctx, c, next)
}
