package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/connect/bundle"
	"github.com/berthdev/berth/server/api"
)

func supportCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "support",
		Short: "Help those who are to find a fault",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(supportBundleCommand(g))
	return cmd
}

const (
	// learnFor bounds asking for the workspace, and collectFor everything else: a
	// bundle is there within a minute, whatever does not answer.
	learnFor   = 10 * time.Second
	collectFor = 45 * time.Second
)

// supportBundle is one run of support bundle.
type supportBundle struct {
	output, urlOverride string
	yes                 bool

	target *target // nil for none
	globals
	client  *api.Client
	secrets bundle.Redactor

	// Learned first, for the secrets in them.
	workspace api.Workspace
	builds    []api.Build // newest first
	failed    []part      // that had to be learned
}

func supportBundleCommand(g *globals) *cobra.Command {
	o := &supportBundle{}
	cmd := &cobra.Command{
		Use:   "bundle [WORKSPACE] [AGENT]",
		Short: "Write what a maintainer needs to find a fault into a zip file",
		Long: "Write what a maintainer needs to find a fault into a zip file: versions, what coder doctor\n" +
			"and coder netcheck find, and of a workspace its builds, their logs and those of its agents.\n\n" +
			"Tokens, passwords and what else looks like a secret is masked. What cannot be had is named in\n" +
			"errors.txt of the bundle. It takes a minute at most.",
		Example:           "  coder support bundle blue-fox\n  coder support bundle blue-fox main --yes --output-file fault.zip",
		Args:              cobra.MaximumNArgs(2),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.globals = *g
			if err := o.parse(args); err != nil {
				return err
			}
			return o.run(cmd)
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.output, "output-file", "O", "", "`file` to write (default: coder-support-<time>.zip here)")
	env(fs, "output-file", "CODER_SUPPORT_BUNDLE_OUTPUT_FILE")
	fs.StringVar(&o.urlOverride, "url-override", "", "ask the server at this `URL`, such as one of several replicas")
	env(fs, "url-override", "CODER_SUPPORT_BUNDLE_URL_OVERRIDE")
	fs.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (o *supportBundle) parse(args []string) error {
	if len(args) == 0 {
		return nil
	}
	at, err := parseTarget(args[0])
	if err != nil {
		return err
	}
	if len(args) == 2 {
		if at.agent != "" || !validAgent.MatchString(args[1]) {
			return fmt.Errorf("%q and %q do not name one agent of a workspace", args[0], args[1])
		}
		at.agent = args[1]
	}
	o.target = &at
	return nil
}

func (o *supportBundle) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	if !o.yes {
		if err := newPrompts().confirm(ctx, "The bundle has logs and settings, which may be private though secrets are masked. Make it?"); err != nil {
			return err
		}
	}
	if err := o.connect(ctx); err != nil {
		return err
	}
	if o.output == "" {
		o.output = fmt.Sprintf("coder-support-%d.zip", time.Now().Unix())
	}
	path, err := filepath.Abs(o.output)
	if err != nil {
		return err
	}
	missing, err := o.write(ctx, path)
	if err != nil {
		return err
	}
	if missing > 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "Not everything could be had: errors.txt in it says what, and why.")
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "The bundle is %s.\nLook through it before you give it to somebody: not every secret looks like one.\n", path)
	return err
}

// write makes the bundle, whole or not at all, and returns how much could not be
// had.
func (o *supportBundle) write(ctx context.Context, path string) (missing int, err error) {
	w, err := bundle.Create(path, &o.secrets)
	if err != nil {
		return 0, fmt.Errorf("write the bundle: %w", err)
	}
	if missing, err = o.fill(ctx, w); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return 0, errors.Join(err, w.Abandon())
	}
	if err := w.Close(); err != nil {
		return 0, fmt.Errorf("write the bundle: %w", err)
	}
	return missing, nil
}

// connect makes the client, and has the credentials of this side masked.
func (o *supportBundle) connect(ctx context.Context) error {
	o.noVersionWarning = true // the doctor finds that
	var err error
	if o.client, err = o.anonymous(ctx, ""); err != nil {
		return err
	}
	token, err := o.sessionToken(o.client.URL)
	if err != nil {
		return err
	}
	if o.urlOverride != "" {
		if o.client, err = o.anonymous(ctx, o.urlOverride); err != nil {
			return err
		}
	}
	o.client.Token = token
	o.secrets.Know(token)
	for _, values := range o.client.Header {
		for _, v := range values {
			o.secrets.Know(v)
		}
	}
	for _, v := range secretsOfEnvironment() {
		o.secrets.Know(v)
	}
	return nil
}

// fill collects everything and returns how much could not be had.
func (o *supportBundle) fill(ctx context.Context, w *bundle.Writer) (missing int, err error) {
	p := showProgress("Asking for the workspace")
	defer p.end()
	if err := o.learn(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, collectFor)
	defer cancel()
	p.now("Collecting")
	parts := o.collect(ctx)
	var broken []part
	for part := range parts {
		p.now("Collecting: " + part.name)
		if part.err == nil {
			part.err = part.add(w)
		}
		if part.err != nil {
			broken = append(broken, part)
		}
	}
	if len(broken) == 0 {
		return 0, nil
	}
	var text []byte
	for _, part := range broken {
		text = fmt.Appendf(text, "%s: %s\n", part.name, describe(part.err))
	}
	return len(broken), w.Text("errors.txt", text)
}

// maxBuilds is how many builds of a workspace are told of, the last ones.
const maxBuilds = 5

// learn asks for the workspace and its builds, to know the secrets in them. Only
// a workspace or an agent that is not there is an error.
func (o *supportBundle) learn(ctx context.Context) (err error) {
	if o.target == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, learnFor)
	defer cancel()
	if o.workspace, err = o.client.WorkspaceByName(ctx, o.target.owner, o.target.workspace); err != nil {
		if api.StatusCode(err) == http.StatusNotFound {
			return o.target.notFound()
		}
		o.failed = append(o.failed, part{name: "workspace.json", err: err})
		return nil
	}
	last := o.workspace.LatestBuild
	o.builds = []api.Build{last}
	for n := last.BuildNumber - 1; n > 0 && len(o.builds) < maxBuilds; n-- {
		b, err := o.client.BuildByNumber(ctx, o.workspace.OwnerName, o.workspace.Name, n)
		if err != nil {
			o.failed = append(o.failed, part{name: fmt.Sprintf("builds/%d.json", n), err: err})
			break
		}
		o.builds = append(o.builds, b)
	}
	for i := range o.builds {
		strip(&o.builds[i], &o.secrets)
	}
	o.workspace.LatestBuild = o.builds[0]
	if o.target.agent != "" && len(o.agents()) == 0 {
		_, err = o.target.pick(o.workspace)
	}
	return err
}

// strip takes out of a build what templates like to put secrets into, and has the
// secret variables of its agents masked everywhere.
func strip(b *api.Build, secrets *bundle.Redactor) {
	for _, r := range b.Resources {
		for i, m := range r.Metadata {
			if m.Sensitive {
				secrets.Know(m.Value)
				r.Metadata[i].Value = bundle.Masked
			}
		}
		for i := range r.Agents {
			stripAgent(&r.Agents[i], secrets)
		}
	}
}

func stripAgent(a *api.Agent, secrets *bundle.Redactor) {
	for name, value := range a.EnvironmentVariables {
		if bundle.IsSecretName(name) {
			secrets.Know(value)
		}
	}
	for i, s := range a.Scripts {
		a.Scripts[i].Script = fmt.Sprintf("[%d bytes]", len(s.Script))
	}
	for i, app := range a.Apps {
		if app.Command != "" {
			a.Apps[i].Command = fmt.Sprintf("[%d bytes]", len(app.Command))
		}
		a.Apps[i].URL, a.Apps[i].Healthcheck.URL = withoutQuery(app.URL), withoutQuery(app.Healthcheck.URL)
	}
}

// withoutQuery masks what follows the path of a URL: apps have their tokens there.
func withoutQuery(address string) string {
	if i := strings.IndexAny(address, "?#"); i >= 0 {
		return address[:i+1] + bundle.Masked
	}
	return address
}
