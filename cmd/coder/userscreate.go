package main

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// newUser is one run of users create.
type newUser struct {
	req       api.CreateUserRequest
	loginType string
	org       string
}

func usersCreateCommand(g *globals) *cobra.Command {
	o := &newUser{}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a user",
		Long: "Make a user. What is not given is asked for; without a terminal it must be given.\n\n" +
			"A user of login type none does not sign in: make a token for it.",
		Example: "  coder users create --username ann --email ann@example.com\n" +
			"  coder users create -u ci -e ci@example.com --login-type none",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, g) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.req.Username, "username", "u", "", "`name` of the user: letters, digits and single hyphens")
	fs.StringVarP(&o.req.Email, "email", "e", "", "e-mail `address`, with which the user signs in")
	fs.StringVarP(&o.req.Name, "full-name", "n", "", "full `name`, for people to read")
	fs.StringVarP(&o.req.Password, "password", "p", "", "`password` to begin with")
	fs.StringVar(&o.loginType, "login-type", string(api.LoginPassword), "`how` the user signs in: password or none")
	fs.StringVarP(&o.org, "org", "O", "default", "`organization` of the user")
	env(fs, "org", "CODER_ORGANIZATION")
	return cmd
}

func (o *newUser) run(cmd *cobra.Command, g *globals) error {
	ctx, ask := cmd.Context(), newPrompts()
	c, err := g.client(ctx)
	if err != nil {
		return err
	}
	org, err := c.Organization(ctx, o.org)
	if err != nil {
		return fmt.Errorf("organization %q: %w", o.org, err)
	}
	o.req.LoginType, o.req.OrganizationIDs = api.LoginType(o.loginType), []uuid.UUID{org.ID}
	questions := []question{
		{&o.req.Username, "Username", "--username", ask.text},
		{&o.req.Email, "Email", "--email", ask.text},
	}
	if o.req.LoginType == api.LoginPassword {
		questions = append(questions, question{&o.req.Password, "Password", "--password", ask.newPassword})
	}
	if err := askMissing(ctx, questions); err != nil {
		return err
	}
	u, err := c.CreateUser(ctx, o.req)
	if err != nil {
		return fmt.Errorf("make user %q: %w", o.req.Username, err)
	}
	if u.LoginType == api.LoginNone {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "User %q is created, and does not sign in. To make a token for it:\n\n  coder tokens create --user %[1]s\n", u.Username)
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "User %q is created. To sign in, with %s and the password:\n\n  coder login %s\n", u.Username, printable(u.Email), c.URL)
	return err
}
