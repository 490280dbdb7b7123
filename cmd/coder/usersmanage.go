package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// noUser says that a user is not there, or why else err.
func noUser(err error, name string) error {
	if api.StatusCode(err) == http.StatusNotFound {
		return withHint(fmt.Errorf("user %q not found", name), "coder users list")
	}
	return err
}

// change is what a command does to one user.
type change struct {
	use, short, long string
	ask              string // a question with %q for the user; empty asks nothing
	done             string // what it then tells, with %q
	do               func(ctx context.Context, c *api.Client, user string) error
}

func (ch change) command(g *globals) *cobra.Command {
	yes := ch.ask == ""
	cmd := &cobra.Command{
		Use:   ch.use + " USERNAME|ID",
		Short: ch.short,
		Long:  cmp.Or(ch.long, ch.short+"."),
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			if !yes {
				if err := newPrompts().confirm(cmd.Context(), fmt.Sprintf(ch.ask, args[0])); err != nil {
					return err
				}
			}
			if err := ch.do(cmd.Context(), c, args[0]); err != nil {
				return noUser(err, args[0])
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), ch.done+"\n", args[0])
			return err
		},
	}
	if ch.ask != "" {
		cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	}
	return cmd
}

func usersActivateCommand(g *globals) *cobra.Command {
	return change{
		use: "activate", short: "Let a suspended user in again", done: "User %q is active.",
		do: func(ctx context.Context, c *api.Client, user string) error {
			_, err := c.ActivateUser(ctx, user)
			return err
		},
	}.command(g)
}

func usersSuspendCommand(g *globals) *cobra.Command {
	return change{
		use: "suspend", short: "Shut a user out",
		long: "Shut a user out, until coder users activate: whatever is connected ends at once, and\n" +
			"sessions and tokens are refused. The workspaces of the user go on.",
		ask: "Suspend user %q and end what they have open?", done: "User %q is suspended.",
		do: func(ctx context.Context, c *api.Client, user string) error {
			_, err := c.SuspendUser(ctx, user)
			return err
		},
	}.command(g)
}

func usersDeleteCommand(g *globals) *cobra.Command {
	cmd := change{
		use: "delete", short: "Delete a user who has no workspaces", ask: "Delete user %q?", done: "User %q is deleted.",
		do: func(ctx context.Context, c *api.Client, user string) error { return c.DeleteUser(ctx, user) },
	}.command(g)
	cmd.Aliases = []string{"rm"}
	return cmd
}

func usersEditRolesCommand(g *globals) *cobra.Command {
	var roles []string
	ch := change{
		use: "edit-roles", short: "Give a user other roles",
		long: "Give a user other roles, in place of those that the user has: owner, user-admin,\n" +
			"template-admin, auditor; --roles member takes all of them, for everybody is a member.",
		done: "The roles of user %q are changed.",
		do: func(ctx context.Context, c *api.Client, user string) error {
			if roles == nil {
				text, err := newPrompts().text(ctx, "Roles of "+user, "--roles")
				if err != nil {
					return err
				}
				roles = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
			}
			if len(roles) == 0 { // a variable that is not set, most likely
				return errors.New("no roles given: member is that of everybody")
			}
			_, err := c.UpdateRoles(ctx, user, append([]string{}, roles...))
			return err
		},
	}
	cmd := ch.command(g)
	cmd.Example = "  coder users edit-roles ann --roles user-admin,auditor"
	cmd.Flags().StringSliceVar(&roles, "roles", nil, "`roles` to have, separated by commas")
	return cmd
}
