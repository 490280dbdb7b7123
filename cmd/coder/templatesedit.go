package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func templatesEditCommand(g *globals) *cobra.Command {
	var bump, lease time.Duration
	cmd := &cobra.Command{
		Use:   "edit TEMPLATE",
		Short: "Change what a template lets its workspaces do",
		Long: "Change what a template lets its workspaces do. It holds from now on, for leases that there\n" +
			"are when they are renewed.",
		Example: "  coder templates edit byo --activity-bump 2h --max-lease 12h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var req api.UpdateTemplateRequest
			if cmd.Flags().Changed("activity-bump") {
				req.ActivityBumpMillis = millisOf(bump)
			}
			if cmd.Flags().Changed("max-lease") {
				req.MaxLeaseMillis = millisOf(lease)
			}
			if req == (api.UpdateTemplateRequest{}) {
				return withHint(errors.New("nothing to change was given"), cmd.CommandPath()+" --help")
			}
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			t, err := c.TemplateByName(cmd.Context(), "default", args[0])
			if err != nil {
				return noTemplate(err, args[0])
			}
			if t, err = c.UpdateTemplate(cmd.Context(), t.ID, req); err != nil {
				return fmt.Errorf("change template %q: %w", args[0], err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Template %q: use keeps a workspace up for %v, a lease for %v at most.\n",
				t.Name, fromMillis(t.ActivityBumpMillis), fromMillis(t.MaxLeaseMillis))
			return err
		},
	}
	fs := cmd.Flags()
	fs.DurationVar(&bump, "activity-bump", 0, "how long a workspace goes on after its last use; 0 for not at all")
	fs.DurationVar(&lease, "max-lease", 0, "how long one lease may last, with its renewals")
	return cmd
}

func millisOf(d time.Duration) *int64 {
	ms := d.Milliseconds()
	return &ms
}

func fromMillis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
