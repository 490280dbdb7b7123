package main

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/connect"
)

// netcheckTimeout bounds netcheck: reaching the server, and a measurement.
const netcheckTimeout = 20 * time.Second

func netcheckCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "netcheck",
		Short: "Measure what the network of this machine permits, as JSON",
		Long: "Measure what the network of this machine permits: relays and the time to each, UDP, IPv6,\n" +
			"NATs, interfaces. It prints JSON, which editors read; coder doctor tells people.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, cancel := context.WithTimeout(cmd.Context(), netcheckTimeout)
			defer cancel()
			c, err := g.client(ctx)
			if err != nil {
				return err
			}
			conn := connect.Open(connect.Config{Client: c, BlockDirect: g.disableDirect, Logger: g.logger()})
			defer func() { err = errors.Join(err, conn.Close()) }()
			p := showProgress("Measuring the network")
			defer p.end()
			if err := conn.Reach(ctx, uuid.Nil); err != nil {
				return err
			}
			report := conn.Report(ctx)
			p.end()
			return printJSON(cmd.OutOrStdout(), report)
		},
	}
}
