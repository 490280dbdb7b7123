package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func tokensCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tokens",
		Aliases: []string{"token"},
		Short:   "Work with API tokens",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(tokensCreateCommand(g), tokensListCommand(g), tokensViewCommand(g), tokensRemoveCommand(g))
	return cmd
}

func tokensCreateCommand(g *globals) *cobra.Command {
	var name, lifetime, user, scope string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token and print it, once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			valid, err := parseLifetime(lifetime)
			if err != nil {
				return err
			}
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			key, err := c.CreateToken(cmd.Context(), user, api.CreateTokenRequest{Lifetime: valid, TokenName: name, Scope: scope})
			if err != nil {
				return noTokenFor(err, user)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), printable(key.Key))
			return err
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&name, "name", "n", "", "`name` of the token")
	env(fs, "name", "CODER_TOKEN_NAME")
	fs.StringVar(&lifetime, "lifetime", "", "how long it is valid, like 30d or 12h; the server's default when empty")
	env(fs, "lifetime", "CODER_TOKEN_LIFETIME")
	fs.StringVarP(&user, "user", "u", api.Me, "`user` that the token acts for")
	env(fs, "user", "CODER_TOKEN_USER")
	fs.StringVar(&scope, "scope", "all", "`what` the token is good for: all or application_connect")
	return cmd
}

// noTokenFor says that there is no such user, as far as who asks may know.
func noTokenFor(err error, user string) error {
	if api.StatusCode(err) == http.StatusNotFound {
		return withHint(fmt.Errorf("user %q not found", user), "without --user the token is yours; who administers users can make one for others")
	}
	return err
}

// parseLifetime reads a duration that may also count days; empty is 0.
func parseLifetime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("lifetime %q: want something like 30d or 12h", text)
	}
	return d, nil
}

func tokensListCommand(g *globals) *cobra.Command {
	var all bool
	f := &format[api.APIKey]{columns: tokenColumns(time.Now())}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List your tokens",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			keys, err := c.Tokens(cmd.Context(), api.Me, all)
			if err != nil {
				return err
			}
			if all && !cmd.Flags().Changed("column") {
				f.chosen = append(f.chosen, "owner")
			}
			return f.print(cmd.OutOrStdout(), keys, nil)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list the tokens of every user")
	f.register(cmd)
	return cmd
}

func tokensRemoveCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME-OR-ID",
		Aliases: []string{"rm", "delete"},
		Short:   "Revoke a token",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			k, err := findToken(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteKey(cmd.Context(), api.Me, k.ID); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Token %q is revoked.\n", args[0])
			return err
		},
	}
}

// findToken returns the token with that name or id.
func findToken(ctx context.Context, c *api.Client, name string) (api.APIKey, error) {
	keys, err := c.Tokens(ctx, api.Me, false)
	if err != nil {
		return api.APIKey{}, err
	}
	for _, k := range keys {
		if k.TokenName == name || k.ID == name {
			return k, nil
		}
	}
	return api.APIKey{}, withHint(fmt.Errorf("token %q not found", name), "coder tokens list")
}
