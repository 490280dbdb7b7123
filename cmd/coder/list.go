package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func listCommand(g *globals) *cobra.Command {
	var (
		all    bool
		search string
	)
	now := time.Now()
	f := &format[api.Workspace]{columns: workspaceColumns(now)}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List workspaces",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			if all {
				search = ""
			}
			found, err := c.Workspaces(cmd.Context(), search, 0)
			if err != nil {
				return err
			}
			if len(found.Workspaces) == 0 && f.output == "table" {
				fmt.Fprintln(cmd.ErrOrStderr(), "No workspaces found. Make one: coder create <name>")
				return nil
			}
			return f.print(cmd.OutOrStdout(), found.Workspaces, nil)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list the workspaces of every owner")
	cmd.Flags().StringVar(&search, "search", "owner:me", "what to search for, as in the search field of the dashboard")
	f.register(cmd)
	return cmd
}

func workspaceColumns(now time.Time) []column[api.Workspace] {
	return []column[api.Workspace]{
		{name: "workspace", value: func(w api.Workspace) string { return w.OwnerName + "/" + w.Name }},
		{name: "template", value: func(w api.Workspace) string { return w.TemplateName }},
		{name: "status", value: func(w api.Workspace) string { return string(w.LatestBuild.Status) }},
		{name: "healthy", value: func(w api.Workspace) string { return yesNo(w.Health.Healthy) }},
		{name: "last built", value: func(w api.Workspace) string { return ago(w.LatestBuild.CreatedAt, now) }},
		{name: "current version", value: func(w api.Workspace) string { return w.LatestBuild.TemplateVersionName }},
		{name: "outdated", value: func(w api.Workspace) string { return yesNo(w.Outdated) }},
		{name: "starts at", value: func(w api.Workspace) string { return until(w.NextStartAt, now) }, hidden: true},
		{name: "stops after", value: func(w api.Workspace) string { return until(w.LatestBuild.Deadline, now) }, hidden: true},
		{name: "id", value: func(w api.Workspace) string { return w.ID.String() }, hidden: true},
		{name: "last used", value: func(w api.Workspace) string { return ago(w.LastUsedAt, now) }, hidden: true},
	}
}
