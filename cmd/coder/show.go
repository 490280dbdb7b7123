package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func showCommand(g *globals) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "show WORKSPACE",
		Short:             "Show a workspace, its resources and agents",
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
			switch output {
			case "json":
				return printJSON(cmd.OutOrStdout(), ws)
			case "text":
				return showWorkspace(cmd.OutOrStdout(), ws, time.Now())
			}
			return fmt.Errorf("unknown output format %q, want text or json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "output `format`: text or json")
	return cmd
}

func showWorkspace(w io.Writer, ws api.Workspace, now time.Time) error {
	b := ws.LatestBuild
	lines := [][]string{
		{"workspace", ws.OwnerName + "/" + ws.Name},
		{"template", ws.TemplateName + " " + b.TemplateVersionName},
		{"status", string(b.Status)},
		{"last built", fmt.Sprintf("%s (build %d, %s)", ago(b.CreatedAt, now), b.BuildNumber, b.Transition)},
		{"stops", until(b.Deadline, now)},
	}
	if b.Job.Error != "" {
		lines = append(lines, []string{"error", b.Job.Error})
	}
	for _, r := range b.Resources {
		lines = append(lines, []string{"resource", r.Type + "." + r.Name})
		for _, a := range r.Agents {
			lines = append(lines, []string{"  agent", describeAgent(ws, a, now)})
		}
	}
	for _, l := range lines {
		for i := range l {
			l[i] = printable(l[i])
		}
	}
	return printTable(w, lines)
}

// describeAgent tells how an agent is, and how to reach it when it can be.
func describeAgent(ws api.Workspace, a api.Agent, now time.Time) string {
	text := a.Name + ", " + string(a.Status)
	switch {
	case a.Status == api.AgentConnected:
		text += fmt.Sprintf(", %s, version %s, %s/%s", a.LifecycleState, a.Version, a.OperatingSystem, a.Architecture)
		return text + ": coder ssh " + target{ws.OwnerName, ws.Name, a.Name}.String()
	case a.DisconnectedAt != nil:
		text += " since " + ago(*a.DisconnectedAt, now)
	}
	if a.Health.Reason != "" {
		text += ": " + a.Health.Reason
	}
	return text
}
