package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// identity is what whoami knows.
type identity struct {
	URL             string      `json:"url"`
	Username        string      `json:"username"`
	ID              uuid.UUID   `json:"id"`
	OrganizationIDs []uuid.UUID `json:"organization_ids"`
	Roles           []api.Role  `json:"roles"`
}

func whoamiCommand(g *globals) *cobra.Command {
	f := &format[identity]{columns: []column[identity]{
		{name: "url", value: func(i identity) string { return i.URL }},
		{name: "username", value: func(i identity) string { return i.Username }},
		{name: "id", value: func(i identity) string { return i.ID.String() }},
		{name: "orgs", value: identity.orgs, hidden: true},
		{name: "roles", value: func(i identity) string { return roleNames(i.Roles) }, hidden: true},
	}}
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Tell who is signed in, and where",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("column") && !cmd.Flags().Changed("output") {
				f.output = "table"
			}
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			user, err := c.User(cmd.Context(), api.Me)
			if err != nil {
				return err
			}
			id := identity{c.URL.String(), user.Username, user.ID, user.OrganizationIDs, user.Roles}
			return id.print(cmd.OutOrStdout(), f)
		},
	}
	f.register(cmd)
	output := cmd.Flags().Lookup("output")
	output.DefValue, output.Usage = "text", "output `format`: text, table or json"
	f.output = "text"
	return cmd
}

func (i identity) print(w io.Writer, f *format[identity]) error {
	if f.output == "text" {
		_, err := fmt.Fprintf(w, "You are signed in to %s as %s.\n", i.URL, printable(i.Username))
		return err
	}
	return f.print(w, []identity{i}, nil)
}

func (i identity) orgs() string {
	var ids []string
	for _, id := range i.OrganizationIDs {
		ids = append(ids, id.String())
	}
	return strings.Join(ids, ", ")
}
