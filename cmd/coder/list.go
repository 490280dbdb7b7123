package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// listing is a command that lists workspaces.
type listing struct {
	format[api.Workspace]
	all    bool
	search string
	only   string // searched for as well
}

func listCommand(g *globals) *cobra.Command { return listCommandOf(g, "List workspaces", "") }

// listCommandOf lists only what is searched for by only as well.
func listCommandOf(g *globals, short, only string) *cobra.Command {
	l := &listing{format: format[api.Workspace]{columns: workspaceColumns(time.Now())}, only: only}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   short,
		Args:    cobra.NoArgs,
	}
	l.of(cmd, g)
	return cmd
}

// of has a command list workspaces: the one that is named, or what is searched
// for.
func (l *listing) of(cmd *cobra.Command, g *globals) {
	cmd.Flags().BoolVarP(&l.all, "all", "a", false, "list the workspaces of every owner")
	cmd.Flags().StringVar(&l.search, "search", "owner:me", "what to search for, as in the search field of the dashboard")
	l.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return l.run(cmd, g, args) }
}

func (l *listing) run(cmd *cobra.Command, g *globals, args []string) error {
	c, err := g.client(cmd.Context())
	if err != nil {
		return err
	}
	if len(args) == 1 {
		ws, err := workspace(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		return l.print(cmd.OutOrStdout(), []api.Workspace{ws}, nil)
	}
	if l.all && !cmd.Flags().Changed("search") {
		l.search = ""
	}
	found, err := c.Workspaces(cmd.Context(), strings.TrimSpace(l.search+" "+l.only), 0)
	if err != nil {
		return err
	}
	if len(found.Workspaces) == 0 && l.output == "table" {
		fmt.Fprintln(cmd.ErrOrStderr(), "No workspaces found. Make one: coder create <name>")
		return nil
	}
	return l.print(cmd.OutOrStdout(), found.Workspaces, nil)
}

func workspaceColumns(now time.Time) []column[api.Workspace] {
	columns := []column[api.Workspace]{
		{name: "workspace", value: ownerAndName},
		{name: "template", value: func(w api.Workspace) string { return w.TemplateName }},
		{name: "status", value: func(w api.Workspace) string { return string(w.LatestBuild.Status) }},
		{name: "healthy", value: func(w api.Workspace) string { return yesNo(w.Health.Healthy) }},
		{name: "last built", value: func(w api.Workspace) string { return ago(w.LatestBuild.CreatedAt, now) }},
		{name: "current version", value: func(w api.Workspace) string { return w.LatestBuild.TemplateVersionName }},
		{name: "outdated", value: func(w api.Workspace) string { return yesNo(w.Outdated) }},
		{name: "id", value: func(w api.Workspace) string { return w.ID.String() }, hidden: true},
		{name: "last used", value: func(w api.Workspace) string { return ago(w.LastUsedAt, now) }, hidden: true},
		{name: "favorite", value: func(w api.Workspace) string { return yesNo(w.Favorite) }, hidden: true},
	}
	for _, c := range scheduleColumns(now) {
		c.hidden = true
		columns = append(columns, c)
	}
	return columns
}

func ownerAndName(w api.Workspace) string { return w.OwnerName + "/" + w.Name }
