package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func scheduleShowCommand(g *globals) *cobra.Command {
	now := time.Now()
	columns := []column[api.Workspace]{{name: "workspace", value: ownerAndName}}
	l := &listing{format: format[api.Workspace]{columns: append(columns, scheduleColumns(now)...)}}
	cmd := &cobra.Command{
		Use:               "show [WORKSPACE]",
		Short:             "Show when workspaces start and stop by themselves",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
	}
	l.of(cmd, g)
	return cmd
}

func scheduleColumns(now time.Time) []column[api.Workspace] {
	return []column[api.Workspace]{
		{name: "starts at", value: startsAt},
		{name: "starts next", value: func(w api.Workspace) string { return until(w.NextStartAt, now) }},
		{name: "stops after", value: stopsAfter},
		{name: "stops next", value: func(w api.Workspace) string { return stopsNext(w, now) }},
	}
}

// startsAt is the schedule in words; a text that is none of ours stays as it is.
func startsAt(w api.Workspace) string {
	if w.AutostartSchedule == nil {
		return "-"
	}
	s, err := api.ParseSchedule(*w.AutostartSchedule)
	if err != nil {
		return *w.AutostartSchedule
	}
	return s.Words()
}

// stopsAfter is how long the workspace runs, like 8h or 1h30m.
func stopsAfter(w api.Workspace) string {
	if w.TTLMillis == nil {
		return "-"
	}
	text := (time.Duration(*w.TTLMillis) * time.Millisecond).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func stopsNext(w api.Workspace, now time.Time) string {
	if w.LatestBuild.Transition != api.TransitionStart {
		return "-"
	}
	return until(w.LatestBuild.Deadline, now)
}
