package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// login is one run of the login command.
type login struct {
	g       *globals
	first   api.CreateFirstUserRequest
	useAsIs bool
	ask     *prompts
}

func loginCommand(g *globals) *cobra.Command {
	l := &login{g: g}
	cmd := &cobra.Command{
		Use:   "login [URL]",
		Short: "Sign in to a server and remember it",
		Long: "Sign in to a server and remember it. A server without any user is set up first.\n\n" +
			"Without a terminal give --token, or, for a new server, --first-user-username, --first-user-email and --first-user-password.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l.ask = newPrompts()
			address, err := l.address(cmd.Context(), args)
			if err != nil {
				return err
			}
			return l.run(cmd, address)
		},
	}
	l.register(cmd)
	cmd.AddCommand(loginTokenCommand(g))
	return cmd
}

func (l *login) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&l.useAsIs, "use-token-as-session", false, "store the given token instead of making a key of its own")
	fs.StringVar(&l.first.Email, "first-user-email", "", "e-mail address of the first user")
	env(fs, "first-user-email", "CODER_FIRST_USER_EMAIL")
	fs.StringVar(&l.first.Username, "first-user-username", "", "name of the first user")
	env(fs, "first-user-username", "CODER_FIRST_USER_USERNAME")
	fs.StringVar(&l.first.Name, "first-user-full-name", "", "full name of the first user")
	env(fs, "first-user-full-name", "CODER_FIRST_USER_FULL_NAME")
	fs.StringVar(&l.first.Password, "first-user-password", "", "password of the first user")
	env(fs, "first-user-password", "CODER_FIRST_USER_PASSWORD")
	fs.BoolVar(&l.first.Trial, "first-user-trial", false, "accepted for compatibility: there are no trials")
	env(fs, "first-user-trial", "CODER_FIRST_USER_TRIAL")
	fs.Lookup("first-user-trial").Hidden = true
}

// address is the URL to sign in to: argument, flag, environment, the one of
// the last login, or what the user says.
func (l *login) address(ctx context.Context, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	if stored, err := l.g.serverURL(); stored != "" || err != nil {
		return stored, err
	}
	address, err := l.ask.text(ctx, "URL of the server", "the URL as an argument")
	if err == nil && address == "" {
		err = errDeclined
	}
	return address, err
}

func (l *login) run(cmd *cobra.Command, address string) error {
	ctx := cmd.Context()
	c, err := l.g.anonymous(ctx, address)
	if err != nil {
		return err
	}
	if c.Token, err = l.token(ctx, c); err != nil {
		return err
	}
	user, err := c.User(ctx, api.Me)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	if err := l.store(c); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Signed in to %s as %s.\n", c.URL, printable(user.Username))
	return err
}

func (l *login) store(c *api.Client) error {
	kept, err := l.g.credentials()
	if err == nil {
		err = kept.store(c.URL, c.Token)
	}
	if err != nil {
		return fmt.Errorf("store the session: %w", err)
	}
	return nil
}

// token gets a session token in the way that flags and server allow.
func (l *login) token(ctx context.Context, c *api.Client) (string, error) {
	if l.g.token != "" || l.useAsIs && l.g.clientTLS.cert != "" { // none, where a proxy knows whose the certificate is
		return l.given(ctx, c)
	}
	exists, err := c.HasFirstUser(ctx)
	switch {
	case err != nil:
		return "", err
	case !exists:
		return l.setUp(ctx, c)
	case l.first.Email != "" && l.first.Password != "":
		return signIn(ctx, c, l.first.Email, l.first.Password)
	}
	return l.interactive(ctx, c)
}

// given uses the token from flag or environment: as it is, or to make a key
// that can be revoked by itself.
func (l *login) given(ctx context.Context, c *api.Client) (string, error) {
	token, err := checkToken(l.g.token)
	if err != nil || l.useAsIs {
		return token, err
	}
	with := *c
	with.Token = token
	key, err := with.CreateSessionKey(ctx, api.Me)
	if api.StatusCode(err) == http.StatusUnauthorized {
		return "", withHint(fmt.Errorf("sign in: %w", err), "get a new token at "+c.URL.String()+"/cli-auth")
	}
	return key.Key, err
}

// setUp makes the first user of a new server.
func (l *login) setUp(ctx context.Context, c *api.Client) (string, error) {
	if l.ask.terminal() && l.first.Username == "" {
		fmt.Fprintf(l.ask.out, "%s has no user yet. The first one becomes its owner.\n", c.URL)
	}
	err := askMissing(ctx, []question{
		{&l.first.Username, "Username", "--first-user-username", l.ask.text},
		{&l.first.Email, "Email", "--first-user-email", l.ask.text},
		{&l.first.Password, "Password", "--first-user-password", l.ask.newPassword},
	})
	if err != nil {
		return "", err
	}
	if _, err := c.CreateFirstUser(ctx, l.first); err != nil {
		return "", fmt.Errorf("make the first user: %w", err)
	}
	return signIn(ctx, c, l.first.Email, l.first.Password)
}

// interactive asks for e-mail address and password, or for a token that the
// user got in the browser.
func (l *login) interactive(ctx context.Context, c *api.Client) (string, error) {
	if !l.ask.terminal() {
		return "", withHint(errors.New("no token given, and stdin is not a terminal to ask at"),
			"give --token or CODER_SESSION_TOKEN with a token from "+c.URL.String()+"/cli-auth")
	}
	email, err := l.ask.text(ctx, "Email (empty to paste a token from "+c.URL.String()+"/cli-auth)", "")
	if err != nil {
		return "", err
	}
	if email == "" {
		return l.pasted(ctx, c)
	}
	password, err := l.ask.secret(ctx, "Password", "--token")
	if err != nil {
		return "", err
	}
	return signIn(ctx, c, email, password)
}

// pasted asks for the token that a page of the server shows, which it opens where
// links can be opened.
func (l *login) pasted(ctx context.Context, c *api.Client) (string, error) {
	if !l.g.noOpen && hasDesktop() {
		_ = openLink(ctx, c.URL.String()+"/cli-auth") // the user has read the address
	}
	token, err := l.ask.secret(ctx, "Token", "--token")
	if err != nil {
		return "", err
	}
	return checkToken(token)
}

func signIn(ctx context.Context, c *api.Client, email, password string) (string, error) {
	res, err := c.Login(ctx, api.LoginRequest{Email: email, Password: password})
	if err != nil {
		return "", withHint(fmt.Errorf("sign in: %w", err), "coder login "+c.URL.String())
	}
	return res.SessionToken, nil
}

func loginTokenCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "token",
		Short: "Print the stored session token",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), c.Token)
			return err
		},
	}
}
