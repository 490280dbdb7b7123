package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func logoutCommand(g *globals) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Revoke the stored session and forget the server",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return logout(cmd, g, yes) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// logout revokes the session that is stored for the server, whatever other token a
// flag or the environment has.
func logout(cmd *cobra.Command, g *globals, yes bool) error {
	ctx := cmd.Context()
	c, err := g.anonymous(ctx, "")
	if err != nil {
		return err
	}
	kept, err := g.credentials()
	if err != nil {
		return err
	}
	if c.Token, err = kept.token(c.URL); err != nil {
		return err
	}
	if c.Token == "" && g.clientTLS.cert == "" {
		return g.notSignedIn(c.URL)
	}
	if !yes {
		if err := newPrompts().confirm(ctx, "Sign out of "+c.URL.String()+"?"); err != nil {
			return err
		}
	}
	revoked := c.Logout(ctx)
	if err := kept.forget(c.URL); err != nil {
		return fmt.Errorf("forget the session: %w", err)
	}
	if revoked != nil && api.StatusCode(revoked) != http.StatusUnauthorized {
		return fmt.Errorf("the session is forgotten here, but not revoked: %w", revoked)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Signed out of %s.\n", c.URL)
	return err
}
