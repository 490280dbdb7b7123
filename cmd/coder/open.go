package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func openCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Open a workspace in an editor, or an app of it",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(openEditorCommand(g), openAppCommand(g))
	return cmd
}

// opener opens links, or prints them.
type opener struct{ printOnly bool }

func (o *opener) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.printOnly, "no-open", false, "print the link, and open nothing")
	env(cmd.Flags(), "no-open", "CODER_NO_OPEN")
}

// open has the desktop open a link. Where that cannot be done it prints the link
// for the user to open.
func (o *opener) open(cmd *cobra.Command, link string) error {
	if !o.printOnly {
		if openLink(cmd.Context(), link) == nil {
			return nil
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing here opens links. Open this one:")
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), link)
	return err
}

// openEditor is one run of open vscode.
type openEditor struct {
	opener
	withToken bool
	target    target
	folder    string
}

func openEditorCommand(g *globals) *cobra.Command {
	o := &openEditor{}
	cmd := &cobra.Command{
		Use:   "vscode WORKSPACE [FOLDER]",
		Short: "Open a workspace in VS Code",
		Long: "Open a workspace in VS Code, which needs its extension for Coder. A folder that is not\n" +
			"absolute is one of the agent's directory.",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.target, err = parseTarget(args[0]); err != nil {
				return err
			}
			if len(args) == 2 {
				o.folder = args[1]
			}
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			link, err := o.link(cmd.Context(), c)
			if err != nil {
				return err
			}
			return o.open(cmd, link)
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&o.withToken, "generate-token", false, "put a new session into the link, for an editor that is not signed in; whoever sees the link has it")
	env(cmd.Flags(), "generate-token", "CODER_OPEN_VSCODE_GENERATE_TOKEN")
	return cmd
}

// link is what the extension for VS Code takes.
func (o *openEditor) link(ctx context.Context, c *api.Client) (string, error) {
	ws, err := o.target.find(ctx, c)
	if err != nil {
		return "", err
	}
	agent, err := o.target.pick(ws)
	if err != nil {
		return "", err
	}
	query := url.Values{"owner": {ws.OwnerName}, "workspace": {ws.Name}, "agent": {agent.Name}, "url": {c.URL.String()}}
	folder, err := absolute(o.folder, agent)
	if err != nil {
		return "", err
	}
	if folder == "" {
		query.Set("openRecent", "true")
	} else {
		query.Set("folder", folder)
	}
	if o.withToken {
		key, err := c.CreateSessionKey(ctx, api.Me)
		if err != nil {
			return "", fmt.Errorf("make a session for the editor: %w", err)
		}
		query.Set("token", key.Key)
	}
	return "vscode://coder.coder-remote/open?" + query.Encode(), nil
}

// absolute is a folder of the workspace; "" is that of the agent, if it has one.
func absolute(folder string, agent api.Agent) (string, error) {
	base := agent.ExpandedDirectory
	switch {
	case folder == "~" || strings.HasPrefix(folder, "~/"):
		return "", withHint(fmt.Errorf("%q: what ~ is in the workspace is not known here", folder), "give an absolute path, or one below the agent's directory")
	case path.IsAbs(folder):
		return path.Clean(folder), nil
	case base != "":
		return path.Join(base, folder), nil
	case folder == "":
		return "", nil
	}
	return "", withHint(fmt.Errorf("the directory of the agent %s is not known, to which %q is relative", agent.Name, folder), "give an absolute path, or wait until the agent is connected")
}

// primaryRegion is the name of the server itself among proxies of apps.
const primaryRegion = "primary"

func openAppCommand(g *globals) *cobra.Command {
	o := &opener{}
	var region string
	cmd := &cobra.Command{
		Use:               "app WORKSPACE [APP]",
		Short:             "Open an app of a workspace; without a name, list those that there are",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			if region != primaryRegion {
				return fmt.Errorf("--region %q: there is only %s", region, primaryRegion)
			}
			c, err := g.client(cmd.Context())
			if err != nil {
				return err
			}
			ws, err := at.find(cmd.Context(), c)
			if err != nil {
				return err
			}
			agent, err := at.pick(ws)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return listApps(cmd, agent)
			}
			link, err := appLink(ws, agent, args[1])
			if err != nil {
				return err
			}
			return o.open(cmd, link)
		},
	}
	o.register(cmd)
	cmd.Flags().StringVar(&region, "region", primaryRegion, "accepted for compatibility: there is one region")
	cmd.Flags().Lookup("region").Hidden = true
	return cmd
}

func listApps(cmd *cobra.Command, agent api.Agent) error {
	if len(agent.Apps) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "The agent %s has no apps.\n", printable(agent.Name))
		return nil
	}
	lines := [][]string{{"APP", "NAME", "HEALTH", "URL"}}
	for _, a := range agent.Apps {
		lines = append(lines, []string{printable(a.Slug), printable(a.DisplayName), printable(a.Health), printable(a.URL)})
	}
	return printTable(cmd.OutOrStdout(), lines)
}

// appLink is where an app that is elsewhere is. Those in the workspace need a
// proxy, which the server does not have yet.
func appLink(ws api.Workspace, agent api.Agent, slug string) (string, error) {
	i := slices.IndexFunc(agent.Apps, func(a api.App) bool { return a.Slug == slug })
	if i < 0 {
		return "", withHint(fmt.Errorf("the agent %s has no app %q", agent.Name, slug), "coder open app "+ws.Name)
	}
	app := agent.Apps[i]
	u, err := url.Parse(app.URL)
	switch {
	case app.Command != "":
		return "", withHint(fmt.Errorf("the app %q is a command", slug), "coder ssh -t "+ws.Name+" -- "+app.Command)
	case err != nil || u.Host == "":
		return "", fmt.Errorf("the app %q has no URL that can be opened: %q", slug, app.URL)
	case app.External && (u.Scheme == "http" || u.Scheme == "https"):
		return u.String(), nil
	case app.External: // a template could have any program of this machine opened
		return "", withHint(fmt.Errorf("the app %q has a link of another program", slug), "open it yourself if you trust the template: "+u.String())
	}
	return "", withHint(errors.New("the server passes no apps on yet"), strings.TrimSpace("coder port-forward "+ws.Name+" --tcp "+u.Port())+" and open http://localhost:"+u.Port())
}
