package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/server/api"
)

// sessionHostCommand is what an agent starts; nobody types it.
func sessionHostCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:    "session-host",
		Short:  "Keep a workspace's sessions while its agent comes and goes",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Started as /proc/self/exe, it would be called "exe" in ps and top.
			_ = os.WriteFile("/proc/self/comm", []byte("coder-sessions"), 0)
			ctx, stop := context.WithCancel(cmd.Context())
			defer frugal(ctx)()
			defer stop()
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return host.Run(ctx, host.Config{Name: name, Version: api.Version, Log: log})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the host")
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

// startHost returns what starts the session host of an agent.
func startHost(logDir string) func(name string) error {
	return func(name string) error {
		log := filepath.Join(logDir, fmt.Sprintf("coder-agent-sessions-%.8s.log", name))
		return host.Start([]string{"agent", "session-host", "--name", name}, forSessions(os.Environ()), log)
	}
}
