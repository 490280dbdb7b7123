package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// creation is one run of create.
type creation struct {
	template, org string
	version       string
	parameters    parameterFlags
	updates       string
	start         string
	ttl           time.Duration
	copyFrom      string // another workspace; "" for none
	yes, noWait   bool

	source api.Workspace // that of copyFrom
}

func createCommand(g *globals) *cobra.Command { return new(creation).command(g) }

func (o *creation) command(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create [OWNER/]NAME",
		Short: "Make a workspace",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return o.run(cmd, g, args[0]) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.template, "template", "t", "", "`name` of the template")
	env(fs, "template", "CODER_TEMPLATE_NAME")
	fs.StringVar(&o.version, "template-version", "", "`name` of the version of the template, if not the active one")
	env(fs, "template-version", "CODER_TEMPLATE_VERSION")
	fs.StringVarP(&o.org, "org", "O", "default", "organization of the template")
	env(fs, "org", "CODER_ORGANIZATION")
	o.parameters.register(fs)
	fs.StringVar(&o.copyFrom, "copy-parameters-from", "", "`workspace` whose parameters it gets as far as no others are given, and whose template, if none is named")
	env(fs, "copy-parameters-from", "CODER_WORKSPACE_COPY_PARAMETERS_FROM")
	fs.StringVar(&o.updates, "automatic-updates", "never", "update the workspace when it starts: always or never")
	fs.StringVar(&o.start, "start-at", "", "`when` it starts by itself, like \"9:30AM Mon-Fri Europe/Berlin\": see coder schedule start")
	env(fs, "start-at", "CODER_WORKSPACE_START_AT")
	fs.DurationVar(&o.ttl, "stop-after", 0, "how `long` after a start it stops by itself, if nobody uses it, like 8h; 0 is never")
	env(fs, "stop-after", "CODER_WORKSPACE_STOP_AFTER")
	fs.BoolVar(&o.noWait, "no-wait", false, "do not wait for the end of the build")
	env(fs, "no-wait", "CODER_CREATE_NO_WAIT")
	fs.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (o *creation) run(cmd *cobra.Command, g *globals, name string) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	t, err := newName(name)
	if err != nil {
		return err
	}
	if _, err := o.parameters.values(); err != nil {
		return err
	}
	req := api.CreateWorkspaceRequest{Name: t.workspace, AutomaticUpdates: o.updates}
	if err := o.times(&req); err != nil {
		return err
	}
	c, err := g.client(ctx)
	if err != nil {
		return err
	}
	if o.copyFrom != "" {
		if o.source, err = workspace(ctx, c, o.copyFrom); err != nil {
			return fmt.Errorf("--copy-parameters-from: %w", err)
		}
	}
	tpl, err := o.choose(ctx, c)
	if err != nil {
		return err
	}
	if !o.yes {
		if err := newPrompts().confirm(ctx, fmt.Sprintf("Create workspace %q from template %q?", t, tpl.Name)); err != nil {
			return err
		}
	}
	if err := o.fill(ctx, c, tpl, &req); err != nil {
		return err
	}
	ws, err := c.CreateWorkspace(ctx, t.owner, req)
	if t.owner != api.Me && api.StatusCode(err) == http.StatusNotFound {
		return withHint(fmt.Errorf("create workspace %q: there is no user %q, or you may not make any for them", t, t.owner), "a slash or a double hyphen stands between owner and name")
	}
	if err != nil {
		return fmt.Errorf("create workspace %q: %w", t, err)
	}
	return o.finish(ctx, out, c, t, ws)
}

// fill says what the workspace is made of.
func (o *creation) fill(ctx context.Context, c *api.Client, tpl api.Template, req *api.CreateWorkspaceRequest) error {
	version := tpl.ActiveVersionID
	req.TemplateID = &tpl.ID
	if o.version != "" {
		var err error
		if version, err = findVersion(ctx, c, tpl.ID, o.version); err != nil {
			return err
		}
		req.TemplateID, req.TemplateVersionID = nil, &version
	}
	if o.copyFrom != "" {
		if err := o.parameters.copy(ctx, c, o.source.LatestBuild.ID, version); err != nil {
			return fmt.Errorf("--copy-parameters-from %s: %w", o.copyFrom, err)
		}
	}
	err := o.parameters.settle(ctx, c, version, uuid.Nil)
	if err == nil {
		req.RichParameterValues, err = o.parameters.values()
	}
	return err
}

// times says when the workspace is to start and stop by itself.
func (o *creation) times(req *api.CreateWorkspaceRequest) error {
	if words := strings.Fields(o.start); len(words) > 0 {
		s, err := parseStart(words)
		if err != nil {
			return fmt.Errorf("--start-at: %w", err)
		}
		if s != (api.Schedule{}) {
			text := s.String()
			req.AutostartSchedule = &text
		}
	}
	if o.ttl < 0 {
		return errors.New("--stop-after: want 0 or more")
	}
	if millis := o.ttl.Milliseconds(); millis > 0 {
		req.TTLMillis = &millis
	}
	return nil
}

func (o *creation) finish(ctx context.Context, out io.Writer, c *api.Client, t target, ws api.Workspace) error {
	if !o.noWait {
		if err := await(ctx, c, ws.LatestBuild); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "Workspace %q is created.\n", t)
	if ws.LatestBuild.HasExternalAgent {
		fmt.Fprintf(out, "To run its agent: coder external-workspaces agent-instructions %s\n", t)
	}
	return err
}

// choose returns the template that was named, or that of the workspace whose
// parameters are copied, or the only one there is, or the one that the user names.
func (o *creation) choose(ctx context.Context, c *api.Client) (api.Template, error) {
	if o.template == "" && o.copyFrom != "" {
		o.template, o.org = o.source.TemplateName, o.source.OrganizationID.String()
	}
	if o.template == "" {
		if err := o.ask(ctx, c); err != nil {
			return api.Template{}, err
		}
	}
	tpl, err := c.TemplateByName(ctx, o.org, o.template)
	return tpl, noTemplate(err, o.template)
}

// noTemplate says that a template is not there, or why else err.
func noTemplate(err error, name string) error {
	if api.StatusCode(err) == http.StatusNotFound {
		return withHint(fmt.Errorf("template %q not found", name), "coder templates list")
	}
	return err
}

func (o *creation) ask(ctx context.Context, c *api.Client) error {
	all, err := c.Templates(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
	}
	if len(names) == 1 {
		o.template = names[0]
		return nil
	}
	if len(names) == 0 {
		return errors.New("the server has no template that you may use")
	}
	o.template, err = newPrompts().text(ctx, "Template ("+strings.Join(names, ", ")+")", "--template")
	return err
}
