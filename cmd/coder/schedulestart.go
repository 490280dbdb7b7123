package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func scheduleStartCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "start WORKSPACE TIME [DAYS] [ZONE] | WORKSPACE manual",
		Short: "Have a workspace start at a time of day",
		Long: "Have a workspace start at a time of day, if it is stopped then: on some days of the week, in a\n" +
			"time zone. Without days it is every day, without a zone that of this machine. \"manual\" has it\n" +
			"wait until somebody starts it.",
		Example: "  coder schedule start dev 9:30AM Mon-Fri Europe/Berlin\n" +
			"  coder schedule start dev 17:00 Sat,Sun\n" +
			"  coder schedule start dev manual",
		Args:              cobra.RangeArgs(2, 4),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := parseStart(args[1:])
			if err != nil {
				return withHint(err, "coder schedule start --help")
			}
			done := "Workspace %q does not start by itself.\n"
			if s != (api.Schedule{}) {
				done = "Workspace %q starts at " + s.Words() + ".\n"
			}
			set := func(ctx context.Context, c *api.Client, ws api.Workspace) error {
				return c.UpdateAutostart(ctx, ws.ID, s)
			}
			return workspaceChange{done: done, do: set}.run(cmd, g, args[0])
		},
	}
}

// parseStart reads a time of day, days and a zone, of which the last two may be
// missing; the zero Schedule for "manual".
func parseStart(words []string) (s api.Schedule, err error) {
	if words[0] == "manual" {
		if len(words) > 1 {
			return s, errors.New("manual has neither days nor a zone")
		}
		return s, nil
	}
	if s.Hour, s.Minute, err = timeOfDay(words[0]); err != nil {
		return s, err
	}
	days, zone := "*", ""
	switch rest := words[1:]; len(rest) {
	case 1:
		if _, err := api.ParseDays(rest[0]); err == nil {
			days = rest[0]
		} else {
			zone = rest[0]
		}
	case 2:
		days, zone = rest[0], rest[1]
	}
	if s.Days, err = api.ParseDays(days); err != nil {
		return s, err
	}
	if zone == "" {
		if zone, err = localZone(); err != nil {
			return s, err
		}
	}
	s.Zone = zone
	return api.ParseSchedule(s.String()) // is the zone a name of one?
}

// timeOfDay reads times like 9:30AM, 9am and 21:30.
func timeOfDay(text string) (hour, minute int, err error) {
	for _, layout := range []string{"3:04PM", "3PM", "15:04"} {
		if t, err := time.Parse(layout, strings.ToUpper(text)); err == nil {
			return t.Hour(), t.Minute(), nil
		}
	}
	return 0, 0, fmt.Errorf("%q is not a time of day, like 9:30AM or 21:30", text)
}

// localZone is the name of this machine's time zone.
func localZone() (string, error) {
	file := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if file == "" {
		file = "/etc/localtime"
	}
	if !filepath.IsAbs(file) {
		return file, nil
	}
	target, err := filepath.EvalSymlinks(file)
	if _, zone, found := strings.Cut(target, "zoneinfo/"); err == nil && found {
		return zone, nil
	}
	if time.Local.String() == "UTC" {
		return "UTC", nil
	}
	return "", errors.New("the time zone of this machine is not known: name one, like Europe/Berlin")
}
