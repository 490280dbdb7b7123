package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
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
				values, err := metadata(cmd.Context(), c, ws)
				if err != nil {
					return err
				}
				activity, err := c.Activity(cmd.Context(), ws.ID)
				if err != nil && api.StatusCode(err) != http.StatusNotFound { // other servers have no such route
					return err
				}
				timings, err := c.Timings(cmd.Context(), ws.LatestBuild.ID)
				if err != nil && api.StatusCode(err) != http.StatusNotFound {
					return err
				}
				now := time.Now()
				return errors.Join(
					showWorkspace(cmd.OutOrStdout(), ws, values, now), showScriptRuns(cmd.OutOrStdout(), timings, now), showActivity(cmd.OutOrStdout(), activity, now))
			}
			return fmt.Errorf("unknown output format %q, want text or json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "output `format`: text or json")
	cmd.Flags().Bool("details", false, "accepted for compatibility: all details are shown")
	cmd.Flags().Lookup("details").Hidden = true
	return cmd
}

// metadata is that of the agents that are connected and have some.
func metadata(ctx context.Context, c *api.Client, ws api.Workspace) (map[uuid.UUID][]api.Metadata, error) {
	all := map[uuid.UUID][]api.Metadata{}
	for _, r := range ws.LatestBuild.Resources {
		for _, a := range r.Agents {
			if a.Status != api.AgentConnected {
				continue
			}
			values, err := c.AgentMetadata(ctx, a.ID)
			if err != nil && api.StatusCode(err) != http.StatusNotFound { // servers may have no such route
				return nil, err
			}
			all[a.ID] = values
		}
	}
	return all, nil
}

func showWorkspace(w io.Writer, ws api.Workspace, values map[uuid.UUID][]api.Metadata, now time.Time) error {
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
			if a.FirstConnectedAt != nil && a.LastConnectedAt != nil {
				lines = append(lines, []string{"  contact", contact(a, now)})
			}
			lines = append(lines, describeParts(a, values[a.ID])...)
		}
	}
	for _, l := range lines {
		for i := range l {
			l[i] = printable(l[i])
		}
	}
	return printTable(w, lines)
}

// showScriptRuns tells how scripts ended.
func showScriptRuns(w io.Writer, t api.Timings, now time.Time) error {
	var lines [][]string
	for _, run := range t.Scripts {
		text := fmt.Sprintf("%s at %s: %s", run.DisplayName, run.Stage, strings.ReplaceAll(run.Status, "_", " "))
		if run.ExitCode != 0 {
			text += fmt.Sprintf(" (exit code %d)", run.ExitCode)
		}
		took := run.EndedAt.Sub(run.StartedAt).Round(time.Millisecond)
		lines = append(lines, []string{"script", printable(fmt.Sprintf("%s, in %v, %s", text, took, ago(run.EndedAt, now)))})
	}
	if len(lines) == 0 {
		return nil
	}
	return printTable(w, lines)
}

// shownExtensions is how many of them are worth a line.
const shownExtensions = 5

// showActivity tells what keeps a workspace up.
func showActivity(w io.Writer, a api.Activity, now time.Time) error {
	var lines [][]string
	for _, l := range a.Leases {
		text := fmt.Sprintf("%s, until %s", l.Holder, l.ExpiresAt.Local().Format(time.RFC1123))
		if l.Reason != "" {
			text += ": " + l.Reason
		}
		lines = append(lines, []string{"lease", printable(text)})
	}
	for _, e := range a.Extensions[:min(len(a.Extensions), shownExtensions)] {
		lines = append(lines, []string{"extended", printable(fmt.Sprintf("%s to %s by %s", ago(e.CreatedAt, now), e.Deadline.Local().Format(time.RFC1123), e.Cause))})
	}
	if len(lines) == 0 {
		return nil
	}
	return printTable(w, lines)
}

// contact tells of the first and the last contact with an agent.
func contact(a api.Agent, now time.Time) string {
	text := "first " + ago(*a.FirstConnectedAt, now)
	switch {
	case a.Status == api.AgentConnected:
		return text + ", connected " + ago(*a.LastConnectedAt, now)
	case a.DisconnectedAt != nil:
		return text + ", last " + ago(*a.DisconnectedAt, now)
	}
	return text
}

// describeParts tells how the apps of an agent are, and what is known of the
// values that its template wants.
func describeParts(a api.Agent, values []api.Metadata) (lines [][]string) {
	for _, app := range a.Apps {
		if app.Hidden {
			continue
		}
		text := app.Slug
		if app.Health != "disabled" {
			text += ", " + app.Health
		}
		if app.URL != "" {
			text += ": " + app.URL
		}
		if n := len(app.Statuses); n > 0 {
			text += fmt.Sprintf(" (%s: %s)", app.Statuses[n-1].State, app.Statuses[n-1].Message)
		}
		lines = append(lines, []string{"  app", text})
	}
	for _, v := range values {
		text := v.Result.Value
		switch {
		case v.Result.CollectedAt.IsZero():
			text = "not known yet"
		case v.Result.Error != "":
			text += " (" + v.Result.Error + ")"
		}
		lines = append(lines, []string{"  value", v.Description.DisplayName + ": " + text})
	}
	return lines
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
