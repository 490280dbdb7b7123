package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

func externalCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "external-workspaces",
		Short: "Work with workspaces on machines that exist already",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(externalCreateCommand(g), listCommandOf(g, "List workspaces whose agents somebody starts", "has_external_agent:true"), externalInstructionsCommand(g))
	return cmd
}

// externalTemplate is the built-in template of such workspaces.
const externalTemplate = "byo"

func externalCreateCommand(g *globals) *cobra.Command {
	o := &creation{}
	cmd := o.command(g)
	cmd.Short = "Make a workspace whose agent you start"
	template := cmd.Flags().Lookup("template")
	o.template, template.DefValue = externalTemplate, externalTemplate
	return cmd
}

// instructions is how a machine becomes the workspace.
type instructions struct {
	Command string `json:"command"`
	URL     string `json:"url"`
	Token   string `json:"token"`
}

func externalInstructionsCommand(g *globals) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "agent-instructions [OWNER/]WORKSPACE[.AGENT]",
		Short:             "Print how to run the agent of such a workspace",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := instruct(cmd, g, args[0])
			if err != nil {
				return err
			}
			switch output {
			case "json":
				return printJSON(cmd.OutOrStdout(), in)
			case "text":
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "Run this on the machine that is to be the workspace:\n\n  %s\n", printable(in.Command))
				return err
			}
			return fmt.Errorf("unknown output format %q, want text or json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "output `format`: text or json")
	return cmd
}

func instruct(cmd *cobra.Command, g *globals, name string) (instructions, error) {
	ctx := cmd.Context()
	t, err := parseTarget(name)
	if err != nil {
		return instructions{}, err
	}
	c, err := g.client(ctx)
	if err != nil {
		return instructions{}, err
	}
	ws, err := t.find(ctx, c)
	if err != nil {
		return instructions{}, err
	}
	agent, err := t.pick(ws)
	if err != nil {
		return instructions{}, err
	}
	cred, err := c.ExternalAgentCredentials(ctx, ws.ID, agent.Name)
	if api.StatusCode(err) == http.StatusNotFound {
		return instructions{}, withHint(fmt.Errorf("agent %q of workspace %q is not external: its template starts it", agent.Name, ws.Name),
			"only agents of templates like byo are started by hand")
	}
	return instructions{cred.Command, c.URL.String(), cred.AgentToken}, err
}
