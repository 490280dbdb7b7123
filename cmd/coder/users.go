package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func usersCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "users", Aliases: []string{"user"}, Short: "Manage the users of the server", Args: cobra.NoArgs}
	cmd.AddCommand(
		usersCreateCommand(g), usersListCommand(g), usersShowCommand(g),
		usersActivateCommand(g), usersSuspendCommand(g), usersDeleteCommand(g), usersEditRolesCommand(g),
	)
	return cmd
}

func userColumns(now time.Time) []column[api.User] {
	return []column[api.User]{
		{name: "username", value: func(u api.User) string { return u.Username }},
		{name: "email", value: func(u api.User) string { return u.Email }},
		{name: "created at", value: func(u api.User) string { return u.CreatedAt.Local().Format(time.DateTime) }},
		{name: "status", value: func(u api.User) string { return string(u.Status) }},
		{name: "id", value: func(u api.User) string { return u.ID.String() }, hidden: true},
		{name: "name", value: func(u api.User) string { return u.Name }, hidden: true},
		{name: "login type", value: func(u api.User) string { return string(u.LoginType) }, hidden: true},
		{name: "last seen", value: func(u api.User) string { return ago(u.LastSeenAt, now) }, hidden: true},
		{name: "roles", value: func(u api.User) string { return roleNames(u.Roles) }, hidden: true},
	}
}

func roleNames(roles []api.Role) string {
	var names []string
	for _, r := range roles {
		names = append(names, r.Name)
	}
	return strings.Join(names, ", ")
}

func usersListCommand(g *globals) *cobra.Command {
	return usersTable(g, &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List users", Args: cobra.NoArgs})
}

func usersShowCommand(g *globals) *cobra.Command {
	return usersTable(g, &cobra.Command{Use: "show USERNAME|ID|me", Short: "Show a user", Args: cobra.ExactArgs(1)})
}

// usersTable has a command show the user that is named, or all.
func usersTable(g *globals, cmd *cobra.Command) *cobra.Command {
	f := &format[api.User]{columns: userColumns(time.Now())}
	f.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := g.client(cmd.Context())
		if err != nil {
			return err
		}
		if len(args) == 1 {
			u, err := c.User(cmd.Context(), args[0])
			if err != nil {
				return noUser(err, args[0])
			}
			return f.print(cmd.OutOrStdout(), []api.User{u}, nil)
		}
		found, err := c.Users(cmd.Context(), "")
		if err != nil {
			return err
		}
		if left := found.Count - len(found.Users); left > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "There are %d users more.\n", left)
		}
		return f.print(cmd.OutOrStdout(), found.Users, nil)
	}
	return cmd
}
