package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/connect/diagnose"
	"github.com/berthdev/berth/server/api"
)

// doctor is one run of doctor.
type doctor struct {
	output string
	target *target // nil for the way to the server only

	// Found out by the steps, each for those after it.
	server    *diagnose.Server
	client    *api.Client
	info      api.ConnectionInfo
	noUDP     bool // here
	isDirect  bool
	workspace api.Workspace
	agent     api.Agent
	conn      *connect.Conn
}

func doctorCommand(g *globals) *cobra.Command {
	o := &doctor{}
	cmd := &cobra.Command{
		Use:   "doctor [WORKSPACE]",
		Short: "Find out why a server or a workspace is not reached, or not well",
		Long: "Find out why a server or a workspace is not reached, or not well, and say what can be done.\n\n" +
			"It goes from here to the workspace, step by step, and ends where it cannot go on. The exit\n" +
			"status is 1 then; warnings are about what works nevertheless.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.output != "text" && o.output != "json" {
				return fmt.Errorf("unknown output format %q, want text or json", o.output)
			}
			if len(args) == 1 {
				at, err := parseTarget(args[0])
				if err != nil {
					return err
				}
				o.target = &at
			}
			return o.run(cmd, g)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "output `format`: text or json")
	return cmd
}

func (o *doctor) run(cmd *cobra.Command, g *globals) (err error) {
	quiet := *g
	quiet.noVersionWarning = true // a step says that
	if o.client, err = quiet.anonymous(cmd.Context(), ""); err != nil {
		return err
	}
	if o.client.Token, err = g.sessionToken(o.client.URL); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	var all []finding
	var unsaid error
	failed, err := o.examine(cmd.Context(), g, func(f diagnose.Finding) {
		if o.output == "text" {
			unsaid = cmp.Or(unsaid, printFinding(out, f))
		}
		all = append(all, findingOf(f))
	})
	if err = errors.Join(err, unsaid); err != nil {
		return err
	}
	if o.output == "json" {
		if err := printJSON(out, all); err != nil {
			return err
		}
	}
	if failed {
		return exitStatus(1)
	}
	return nil
}

// examine takes the steps with o.client, and tells what each found.
func (o *doctor) examine(ctx context.Context, g *globals, tell func(diagnose.Finding)) (failed bool, err error) {
	o.server = &diagnose.Server{Client: o.client}
	steps := append(o.server.Steps(), o.signedIn, o.version, o.webSocket, o.relay, o.udp)
	if o.target != nil {
		steps = append(steps, o.isRunning, o.isConnected, o.isStarted, o.agentVersion, o.reach(g), o.direct, o.width, o.carries, o.disk)
	}
	failed = diagnose.Run(ctx, steps, tell)
	if o.conn != nil {
		err = o.conn.Close()
	}
	return failed, err
}

// finding is what --output json shows of a step.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warning or error
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`
}

func findingOf(f diagnose.Finding) finding {
	switch {
	case f.Err == nil:
		return finding{Check: f.What, Status: "ok", Text: f.Text}
	case f.Mild:
		return finding{f.What, "warning", describe(f.Err), f.Hint}
	}
	return finding{f.What, "error", describe(f.Err), f.Hint}
}

func printFinding(out io.Writer, found diagnose.Finding) error {
	f := findingOf(found)
	word := map[string]string{"ok": "ok", "warning": "warn", "error": "FAIL"}[f.Status]
	text := fmt.Sprintf("%-4s  %-9s %s\n", word, f.Check, printable(f.Text))
	if f.Hint != "" {
		text += fmt.Sprintf("%15s %s\n", "", printable(f.Hint))
	}
	_, err := io.WriteString(out, text)
	return err
}

func (o *doctor) signedIn(ctx context.Context) diagnose.Finding {
	f := diagnose.Finding{What: "session", Hint: "coder login " + o.client.URL.String()}
	if o.client.Token == "" {
		f.Err = errors.New("you are not signed in")
		return f
	}
	user, err := o.client.User(ctx, api.Me)
	f.Text, f.Err = "signed in as "+user.Username, err
	if err != nil && api.StatusCode(err) != http.StatusUnauthorized {
		f.Hint = "the server's log says more"
	}
	return f
}

func (o *doctor) version(context.Context) diagnose.Finding {
	f := diagnose.Finding{
		What: "version", Text: "this is " + api.Version, Mild: true,
		Hint: "install the coder of the server: " + o.client.URL.JoinPath("bin/").String(),
	}
	if differ(api.Version, o.server.Version) {
		f.Err = fmt.Errorf("this is %s, the server is %s", api.Version, o.server.Version)
	}
	return f
}

// webSocket opens what every connection to a workspace needs.
func (o *doctor) webSocket(ctx context.Context) diagnose.Finding {
	f := diagnose.Finding{What: "websocket", Text: "passes", Hint: "does the reverse proxy in front pass WebSockets on (the headers Upgrade and Connection)?"}
	conn, err := o.client.Tailnet(ctx, "")
	if err != nil {
		f.Err = err
		return f
	}
	_ = conn.Close()
	if o.info, err = o.client.AnyConnectionInfo(ctx); err != nil {
		f.Err, f.Hint = err, "the server's log says more"
		return f
	}
	o.server.Relays, f.Err = o.info.DERPMap.Via(o.client.URL)
	return f
}

// relay is no failure yet: where a proxy is all that is reached, relays are too,
// over WebSockets.
func (o *doctor) relay(ctx context.Context) diagnose.Finding {
	f := o.server.Relay(ctx)
	f.Mild = true
	return f
}

func (o *doctor) udp(ctx context.Context) diagnose.Finding {
	f := o.server.UDP(ctx)
	o.noUDP = f.Err != nil
	return f
}

// isRunning asks for the workspace and its build.
func (o *doctor) isRunning(ctx context.Context) (f diagnose.Finding) {
	f = diagnose.Finding{What: "workspace"}
	if o.workspace, f.Err = o.target.find(ctx, o.client); f.Err != nil {
		f.Hint = "coder list"
		return f
	}
	b := o.workspace.LatestBuild
	f.Text = string(b.Status)
	switch {
	case b.Status == api.BuildRunning:
	case !ended(b.Job.Status):
		f.Err, f.Hint = fmt.Errorf("it is %s", b.Status), "wait for the end of its build: coder logs -f "+o.target.workspaceName()
	case b.Job.Status == api.JobFailed:
		f.Err, f.Hint = outcome(b), "coder logs "+o.target.workspaceName()
	default:
		f.Err, f.Hint = fmt.Errorf("it is %s", b.Status), "coder start "+o.target.workspaceName()
	}
	return f
}

// isConnected asks whether the server has the agent.
func (o *doctor) isConnected(context.Context) (f diagnose.Finding) {
	f = diagnose.Finding{What: "agent", Hint: "on its machine, coder agent --check says why"}
	if o.agent, f.Err = o.target.pick(o.workspace); f.Err != nil {
		f.Hint = "coder show " + o.target.workspaceName()
		return f
	}
	f.Text = "connected"
	switch {
	case o.agent.Status == api.AgentConnected:
	case o.agent.FirstConnectedAt == nil:
		f.Err = fmt.Errorf("the agent %s has not come yet (%s)", o.agent.Name, o.agent.Status)
	default:
		f.Err = fmt.Errorf("the agent %s is away since %s", o.agent.Name, awaySince(o.agent))
	}
	return f
}

func awaySince(a api.Agent) string {
	if a.DisconnectedAt == nil {
		return "a moment"
	}
	return a.DisconnectedAt.Local().Format(time.DateTime)
}

// startedSoon is how long start scripts may take without a word of it.
const startedSoon = time.Second

// isStarted looks at the start scripts.
func (o *doctor) isStarted(ctx context.Context) diagnose.Finding {
	o.awaitStart(ctx)
	name := o.target.workspaceName()
	f := diagnose.Finding{What: "scripts", Text: string(o.agent.LifecycleState), Mild: true, Hint: "coder logs " + name}
	switch o.agent.LifecycleState {
	case api.LifecycleCreated, api.LifecycleStarting:
		f.Err = fmt.Errorf("the start scripts still run%s%s", blockingNames(o.agent), runningFor(o.agent))
		f.Hint = fmt.Sprintf("coder logs -f %s shows what they do; coder ssh --no-wait %s does not wait for them", name, name)
	case api.LifecycleStartError, api.LifecycleStartTimeout:
		f.Err = fmt.Errorf("the start scripts ended with %s", o.agent.LifecycleState)
	}
	return f
}

// awaitStart waits a moment for scripts that just run.
func (o *doctor) awaitStart(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, startedSoon)
	defer cancel()
	for wait := firstPoll; scriptsRun(o.agent.LifecycleState) && pause(ctx, wait); wait *= 2 {
		if now, err := o.client.Agent(ctx, o.agent.ID); err == nil {
			o.agent = now
		}
	}
}

func runningFor(a api.Agent) string {
	if a.StartedAt == nil {
		return ""
	}
	return " for " + time.Since(*a.StartedAt).Round(time.Second).String()
}

func (o *doctor) agentVersion(context.Context) diagnose.Finding {
	if o.agent.Version == "" {
		return diagnose.Finding{}
	}
	f := diagnose.Finding{What: "agent is", Text: o.agent.Version, Mild: true, Hint: "update the agent, or start the workspace anew: coder update " + o.target.workspaceName()}
	if differ(o.server.Version, o.agent.Version) {
		f.Err = fmt.Errorf("%s, the server is %s", o.agent.Version, o.server.Version)
	}
	return f
}
