package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// homepage is where the project lives.
const homepage = "https://github.com/berthdev/berth"

// versionInfo is the JSON form; editors read its version.
type versionInfo struct {
	Version      string    `json:"version"`
	BuildTime    time.Time `json:"build_time"`
	ExternalURL  string    `json:"external_url"`
	Slim         bool      `json:"slim"`
	AGPL         bool      `json:"agpl"`
	BoringCrypto bool      `json:"boring_crypto"`
}

func versionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printVersion(cmd.OutOrStdout(), output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "output `format`: text or json")
	return cmd
}

func printVersion(w io.Writer, output string) error {
	switch output {
	case "text":
		_, err := io.WriteString(w, versionText())
		return err
	case "json":
		return printJSON(w, versionInfo{Version: api.Version, BuildTime: buildTime(), ExternalURL: homepage, Slim: slim})
	}
	return fmt.Errorf("unknown output format %q, want text or json", output)
}

// versionText starts as editors expect it: the word Coder and the version.
func versionText() string {
	line := "Coder " + api.Version
	if t := buildTime(); !t.IsZero() {
		line += " " + t.Format(time.UnixDate)
	}
	kind := "Full build: server, agent and command line."
	if slim {
		kind = "Slim build: agent and command line, without the server."
	}
	return strings.Join([]string{line, homepage, "", kind, ""}, "\n")
}

// buildTime is the time of the commit that was built, or zero.
func buildTime() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value)
			return t
		}
	}
	return time.Time{}
}
