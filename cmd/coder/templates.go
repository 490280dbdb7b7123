package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func templatesCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "templates",
		Aliases: []string{"template"},
		Short:   "Work with templates",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(templatesListCommand(g), templatesEditCommand(g))
	return cmd
}

// templateRow is a template as lists show it in JSON.
type templateRow struct {
	Template api.Template `json:"Template"`
}

func templatesListCommand(g *globals) *cobra.Command {
	now := time.Now()
	f := &format[templateRow]{columns: []column[templateRow]{
		{name: "name", value: func(t templateRow) string { return t.Template.Name }},
		{name: "last updated", value: func(t templateRow) string { return ago(t.Template.UpdatedAt, now) }},
		{name: "used by", value: func(t templateRow) string { return users(t.Template.ActiveUserCount) }},
		{name: "display name", value: func(t templateRow) string { return t.Template.DisplayName }, hidden: true},
		{name: "organization name", value: func(t templateRow) string { return t.Template.OrganizationName }, hidden: true},
		{name: "id", value: func(t templateRow) string { return t.Template.ID.String() }, hidden: true},
	}}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List templates",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			all, err := c.Templates(cmd.Context())
			if err != nil {
				return err
			}
			var rows []templateRow
			for _, t := range all {
				rows = append(rows, templateRow{t})
			}
			return f.print(cmd.OutOrStdout(), rows, nil)
		},
	}
	f.register(cmd)
	return cmd
}

// users is how many use a template; the server says -1 before it has counted.
func users(n int) string {
	switch {
	case n < 0:
		return "-"
	case n == 1:
		return "1 user"
	}
	return fmt.Sprintf("%d users", n)
}
