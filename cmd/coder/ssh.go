package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/connect/sshclient"
	"github.com/berthdev/berth/server/api"
)

// sshOptions are the flags of ssh, and what it was asked to run.
type sshOptions struct {
	stdio                    bool
	tty                      times // 2 and more forces one
	hostPrefix, hostSuffix   string
	wait                     string
	noWait, disableAutostart bool
	env                      []string
	usageApp                 string
	logDir                   string
	networkInfoDir           string
	networkInfoInterval      time.Duration
	pollInterval             time.Duration // 0 never looks at the workspace
	container                string        // refused
	forceNewTunnel           bool          // accepted because editors and SSH configurations pass it
	forwards                 sshForwards

	target  target
	command string // empty for a shell
}

func sshCommand(g *globals) *cobra.Command {
	o := &sshOptions{}
	cmd := &cobra.Command{
		Use:   "ssh WORKSPACE [COMMAND...]",
		Short: "Open a shell in a workspace, or run a command there",
		Long: "Open a shell in a workspace, or run a command there.\n\n" +
			"The exit status is that of the command; 255 when the connection was lost.\n" +
			"An open shell outlives sleep and changes of the network. At the start of a line, ~. ends it.\n\n" +
			"OpenSSH reaches workspaces through this command: see coder config-ssh.",
		Example:           "  coder ssh blue-fox\n  coder ssh blue-fox.agent -- make test",
		Args:              o.parse,
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if help, _ := cmd.Flags().GetBool("help"); help {
				return pflag.ErrHelp
			}
			return o.run(cmd.Context(), g)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

func (o *sshOptions) register(fs *pflag.FlagSet) {
	fs.SetInterspersed(false) // the flags after the command are the command's
	fs.BoolVar(&o.stdio, "stdio", false, "carry the bytes of an SSH connection over stdin and stdout, for OpenSSH's ProxyCommand")
	fs.VarP(&o.tty, "tty", "t", "give the command a terminal, if stdin is one; -tt in any case")
	fs.Lookup("tty").NoOptDefVal = "true"
	fs.StringArrayVarP(&o.env, "env", "e", nil, "set the environment variable `KEY=VALUE` in the workspace; may be repeated")
	fs.StringVar(&o.wait, "wait", "auto", "wait for the start scripts: yes, no, or auto as the template says")
	env(fs, "wait", "CODER_SSH_WAIT")
	fs.BoolVar(&o.noWait, "no-wait", false, "the same as --wait no")
	env(fs, "no-wait", "CODER_SSH_NO_WAIT")
	fs.BoolVar(&o.disableAutostart, "disable-autostart", false, "do not start a workspace that is stopped")
	env(fs, "disable-autostart", "CODER_SSH_DISABLE_AUTOSTART")
	fs.StringVar(&o.hostPrefix, "ssh-host-prefix", "", "cut this `prefix` off the name")
	env(fs, "ssh-host-prefix", "CODER_SSH_SSH_HOST_PREFIX")
	fs.StringVar(&o.hostSuffix, "hostname-suffix", "", "cut a dot and this `suffix` off the name")
	env(fs, "hostname-suffix", "CODER_SSH_HOSTNAME_SUFFIX")
	fs.StringVar(&o.usageApp, "usage-app", "ssh", "what the use is counted as; disable for not at all")
	env(fs, "usage-app", "CODER_SSH_USAGE_APP")
	fs.StringVarP(&o.logDir, "log-dir", "l", "", "write a log file to this `directory`")
	env(fs, "log-dir", "CODER_SSH_LOG_DIR")
	fs.StringVar(&o.networkInfoDir, "network-info-dir", "", "write what is known of the path to a file in this `directory`")
	fs.DurationVar(&o.networkInfoInterval, "network-info-interval", 5*time.Second, "how often that file is written")

	fs.DurationVar(&o.pollInterval, "workspace-poll-interval", lookEvery, "how often to look whether the workspace is about to stop, or was stopped; 0 for never")
	o.forwards.register(fs)

	fs.StringVarP(&o.container, "container", "c", "", "refused: agents of this make run no dev containers")
	fs.BoolVar(&o.forceNewTunnel, "force-new-tunnel", false, "accepted for compatibility: every tunnel is new")
	fs.String("container-user", "", "refused with --container")
	for _, name := range []string{"container", "container-user", "force-new-tunnel"} {
		fs.Lookup(name).Hidden = true
	}
}

// parse reads the name, the flags that follow it and the command. It is called
// with what the first parse of flags left.
func (o *sshOptions) parse(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return withHint(errors.New("no workspace given"), cmd.CommandPath()+" --help")
	}
	name := args[0]
	if err := cmd.Flags().Parse(args[1:]); err != nil {
		return cmd.FlagErrorFunc()(cmd, err)
	}
	if err := o.readEnv(cmd.Flags()); err != nil {
		return err
	}
	o.command = strings.Join(cmd.Flags().Args(), " ") // as OpenSSH does
	if o.container != "" {
		return withHint(errors.New("--container: there are no dev containers in workspaces of this server"), "coder ssh -t "+name+" -- docker exec -it "+o.container+" sh")
	}
	var err error
	if o.target, err = parseHost(name, o.hostPrefix, o.hostSuffix); err != nil {
		return err
	}
	return o.check()
}

// readEnv sets what the command line did not say from the environment, now: the
// name is read by what it says. With --stdio OpenSSH forwards by itself, so that
// what is meant for sessions of ours is left out.
func (o *sshOptions) readEnv(fs *pflag.FlagSet) error {
	if !o.stdio {
		return readEnv(fs)
	}
	if err := o.forwards.checkStdio(); err != nil {
		return err
	}
	err := readEnv(fs)
	o.forwards = sshForwards{}
	return err
}

// maxEnv is how many bytes of variables a session may be given: what an agent takes
// (sshd.Limits), less what we add. It refuses more without an answer that we wait for.
const maxEnv = 63 << 10

// check finds what is wrong with the flags.
func (o *sshOptions) check() error {
	if n := len(strings.Join(o.env, "")); n > maxEnv {
		return fmt.Errorf("--env: %d bytes of variables, want at most %d", n, maxEnv)
	}
	for _, entry := range o.env {
		if key, _, ok := strings.Cut(entry, "="); !ok || key == "" {
			return fmt.Errorf("--env %q: want KEY=VALUE", entry)
		}
	}
	if o.wait != "yes" && o.wait != "no" && o.wait != "auto" {
		return fmt.Errorf("--wait %q: want yes, no or auto", o.wait)
	}
	if o.pollInterval < 0 {
		return fmt.Errorf("--workspace-poll-interval %v: want no less than 0", o.pollInterval)
	}
	return o.forwards.check()
}

func (o *sshOptions) run(ctx context.Context, g *globals) error {
	req, err := o.forwards.request(ctx)
	if err != nil {
		return err
	}
	c, err := g.client(ctx)
	if err != nil {
		return err
	}
	log, closeLog, err := o.logger(g)
	if err != nil {
		return err
	}
	defer closeLog()
	// What needs no answer about the workspace is begun before it is asked for.
	conn := connect.Open(connect.Config{Client: c, BlockDirect: g.disableDirect, Logger: log})
	defer conn.Close()
	p := showProgress("Connecting to " + o.target.String())
	defer p.end()
	ws, agent, err := o.ready(ctx, c, p)
	if err != nil {
		return err
	}
	return o.use(ctx, way{c, conn, ws, agent}, req, log, p)
}

// use opens the session, and does beside it what lasts as long.
func (o *sshOptions) use(ctx context.Context, w way, req sshclient.Request, log *slog.Logger, p *progress) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel(nil)
	beside.Go(func() { o.reportUsage(ctx, w.client, w.workspace, w.agent, log) })
	beside.Go(func() { o.watch(ctx, w.client, w.workspace, cancel) })
	return o.becauseStopped(ctx, o.open(ctx, w, req, log, p))
}

// open connects to the agent and runs the session there.
func (o *sshOptions) open(ctx context.Context, w way, req sshclient.Request, log *slog.Logger, p *progress) error {
	if err := w.conn.Reach(ctx, w.agent.ID); err != nil {
		return err
	}
	p.now(fmt.Sprintf("Waiting for the agent %s to answer", w.agent.Name))
	if o.forwards.gpg {
		fw, err := o.forwards.prepareGPG(ctx, w)
		if err != nil {
			return err
		}
		req.Forwards = append(req.Forwards, fw)
	}
	stream, err := dialSSH(ctx, w)
	if err != nil {
		return err
	}
	counted := &countingConn{Conn: stream}
	defer counted.Close()
	if o.networkInfoDir != "" {
		ctx, stop := context.WithCancel(ctx)
		var writing sync.WaitGroup
		defer writing.Wait()
		defer stop()
		writing.Go(func() { writeNetworkInfo(ctx, o.networkInfoDir, o.networkInfoInterval, w.conn, counted, log) })
	}
	if o.stdio {
		p.end()
		return proxy(ctx, counted)
	}
	return o.session(ctx, counted, req, w, p)
}

// dialSSH connects to the agent's SSH server, and says when that takes long.
func dialSSH(ctx context.Context, w way) (net.Conn, error) {
	hurry := tellLate(ctx, w.conn, w.agent)
	defer hurry()
	if w.agent.Version != "" && !isOurs(w.agent) {
		return w.conn.SSH(ctx)
	}
	stream, err := w.conn.LastingSSH(ctx)
	if errors.Is(err, connect.ErrRefused) && !isOurs(w.agent) { // it has not said its version yet, and is of another make
		return w.conn.SSH(ctx)
	}
	return stream, err
}

// isOurs reports whether the agent says that it is Berth's, which can do more
// than others.
func isOurs(a api.Agent) bool { return strings.Contains(a.Version, "berth") }

// lateAfter is how long an agent may stay away before a line says so, where no
// terminal shows the progress.
const lateAfter = 5 * time.Second

// tellLate says on stderr, once, that the agent is not there. Call done when it
// is.
func tellLate(ctx context.Context, conn *connect.Conn, agent api.Agent) (done func()) {
	after := lateAfter
	if limit := time.Duration(agent.ConnectionTimeoutSeconds) * time.Second; agent.Status == api.AgentConnecting && limit > 0 {
		after = limit
	}
	stop := make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
			text := fmt.Sprintf("The agent %s does not answer (%s). Waiting for it.", agent.Name, agent.Status)
			if agent.TroubleshootingURL != "" {
				text += " See " + agent.TroubleshootingURL
			}
			fmt.Fprintf(os.Stderr, "\r%s\n", printable(text))
		case <-conn.Known():
		case <-ctx.Done():
		case <-stop:
		}
	})
	return func() {
		close(stop)
		told.Wait()
	}
}

// logger logs to a file of its own with --log-dir, which --verbose then does
// not send to stderr.
func (o *sshOptions) logger(g *globals) (*slog.Logger, func(), error) {
	if o.logDir == "" {
		return g.logger(), func() {}, nil
	}
	f, err := newLogFile(o.logDir, time.Now(), o.stdio)
	if err != nil {
		return nil, nil, fmt.Errorf("make the log file: %w", err)
	}
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug})), func() { f.Close() }, nil
}
