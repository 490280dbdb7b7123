package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berthdev/berth/agent"
	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/server/api"
)

// agentFlags are those of coder agent.
type agentFlags struct {
	url, token, tokenFile string
	logDir                string
	sessions              host.Options
	checkOnly             bool
	metricsAddress        string
	terminalSize          string
	header                []string
}

func agentCommand() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Serve this machine as a workspace",
		Long: "Serve this machine as a workspace: SSH, terminals and ports become reachable for\n" +
			"its owner. It stays connected to the server until it is stopped, and goes on\n" +
			"serving open sessions while the server is away.\n\n" +
			"Shells, commands and terminals live in a process of their own, which the agent\n" +
			"starts. They go on when the agent crashes and is started again, and when SIGUSR2\n" +
			"ends it for a newer one. SIGTERM and SIGINT end them too.\n\n" +
			"It ends with exit status 78 when starting it again cannot help: its token can\n" +
			"never be accepted again, or the configuration is wrong.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			verbose, _ := cmd.Flags().GetBool("verbose")
			return f.run(cmd, verbose)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.url, "agent-url", "", "URL of the server")
	env(fs, "agent-url", "CODER_AGENT_URL")
	fs.StringVar(&f.token, "agent-token", "", "token of this agent")
	env(fs, "agent-token", "CODER_AGENT_TOKEN")
	fs.StringVar(&f.tokenFile, "agent-token-file", "", "`file` that holds the token of this agent")
	env(fs, "agent-token-file", "CODER_AGENT_TOKEN_FILE")
	fs.StringArrayVar(&f.header, "agent-header", nil, "add `key=value` to every request; may be repeated")
	env(fs, "agent-header", "CODER_AGENT_HEADER")
	fs.StringVar(&f.logDir, "log-dir", os.TempDir(), "`directory` of the logs of sessions and scripts")
	env(fs, "log-dir", "CODER_AGENT_LOG_DIR")
	fs.BoolVar(&f.checkOnly, "check", false, "say what an agent here would run into, and end: with exit status 1 if it would not work")
	fs.StringVar(&f.metricsAddress, "prometheus-address", "", "serve the agent's metrics at this `address`, like 127.0.0.1:2112")
	env(fs, "prometheus-address", "CODER_AGENT_PROMETHEUS_ADDRESS")
	f.sessionFlags(fs)
	f.scriptFlags(fs)
	cmd.AddCommand(sessionHostCommand())
	return cmd
}

// sessionFlags are those of the session host.
func (f *agentFlags) sessionFlags(fs *pflag.FlagSet) {
	o := &f.sessions
	fs.DurationVar(&o.MaxTimeout, "ssh-max-timeout", 72*time.Hour, "end SSH connections whose client has been silent for so long")
	env(fs, "ssh-max-timeout", "CODER_AGENT_SSH_MAX_TIMEOUT")
	fs.DurationVar(&o.Handshake, "ssh-handshake-timeout", 30*time.Second, "how long the beginning of an SSH connection may take")
	env(fs, "ssh-handshake-timeout", "CODER_AGENT_SSH_HANDSHAKE_TIMEOUT")
	fs.IntVar(&o.Connections, "ssh-max-connections", 256, "how many SSH connections there may be at once")
	env(fs, "ssh-max-connections", "CODER_AGENT_SSH_MAX_CONNECTIONS")
	fs.IntVar(&o.Sessions, "ssh-max-sessions", 128, "how many sessions one SSH connection may have at once")
	env(fs, "ssh-max-sessions", "CODER_AGENT_SSH_MAX_SESSIONS")
	fs.BoolVar(&o.BlockFileTransfer, "block-file-transfer", false, "refuse sftp, scp, rsync and nc; keeps nobody from other ways")
	env(fs, "block-file-transfer", "CODER_BLOCK_FILE_TRANSFER")
	fs.BoolVar(&o.BlockLocalForwarding, "block-local-port-forwarding", false, "refuse ssh -L and -D")
	env(fs, "block-local-port-forwarding", "CODER_AGENT_BLOCK_LOCAL_PORT_FORWARDING")
	fs.BoolVar(&o.BlockRemoteForwarding, "block-reverse-port-forwarding", false, "refuse ssh -R")
	env(fs, "block-reverse-port-forwarding", "CODER_AGENT_BLOCK_REVERSE_PORT_FORWARDING")
	fs.DurationVar(&o.TerminalKeep, "terminal-keep", 24*time.Hour, "how long a terminal goes on without anybody looking at it")
	env(fs, "terminal-keep", "CODER_AGENT_TERMINAL_KEEP")
	fs.StringVar(&f.terminalSize, "terminal-size", "last", "the size of a terminal is that of the `viewer` who typed last, or the smallest: last or smallest")
	env(fs, "terminal-size", "CODER_AGENT_TERMINAL_SIZE")
}

// scriptFlags are those of the template's scripts.
func (f *agentFlags) scriptFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.sessions.DataDir, "script-data-dir", scriptDataDir(), "`directory` in which scripts keep files and install programs")
	env(fs, "script-data-dir", "CODER_AGENT_SCRIPT_DATA_DIR")
	fs.DurationVar(&f.sessions.StopTimeout, "stop-timeout", 45*time.Second, "how long scripts of the stop may run, all of them together")
	env(fs, "stop-timeout", "CODER_AGENT_STOP_TIMEOUT")
}

// scriptDataDir is the user's own, because PATH leads into it: in a directory of
// everybody, somebody else could be there first.
func scriptDataDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return filepath.Join(os.TempDir(), fmt.Sprintf("coder-agent-%d", os.Getuid()))
	}
	return filepath.Join(cache, "coder-agent")
}

// checkSessions checks what the flags of sessions say.
func (f *agentFlags) checkSessions() error {
	o := &f.sessions
	switch f.terminalSize {
	case "last", "smallest":
		o.SmallestViewer = f.terminalSize == "smallest"
	default:
		return fmt.Errorf("--terminal-size %q: want last or smallest", f.terminalSize)
	}
	for name, v := range map[string]int64{
		"--ssh-max-timeout": int64(o.MaxTimeout), "--ssh-handshake-timeout": int64(o.Handshake),
		"--ssh-max-connections": int64(o.Connections), "--ssh-max-sessions": int64(o.Sessions), "--terminal-keep": int64(o.TerminalKeep),
		"--stop-timeout": int64(o.StopTimeout),
	} {
		if v <= 0 {
			return fmt.Errorf("%s: want more than 0", name)
		}
	}
	return nil
}

func (f agentFlags) run(cmd *cobra.Command, verbose bool) error {
	client, err := f.client()
	if err == nil {
		err = f.checkSessions()
	}
	f.sessions.LogDir = f.logDir
	if err != nil {
		return withStatus{err, exitHopeless}
	}
	if f.checkOnly {
		return f.check(cmd, client)
	}
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	ctx, stop := untilHandOver(cmd.Context())
	defer frugal(ctx)()
	defer stop()
	var systemd service
	self, err := os.Executable()
	if err != nil {
		return withStatus{fmt.Errorf("find this program: %w", err), exitHopeless}
	}
	a := agent.New(agent.Config{
		Client: client, StartHost: startHost(f.logDir), Sessions: f.sessions, Program: self,
		Status: systemd.status, MetricsAddress: f.metricsAddress, Log: log,
	})
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, unwatch := context.WithCancel(ctx)
	defer unwatch()
	watching.Go(func() { systemd.watch(ctx, a.Alive) })
	err = a.Run(ctx)
	switch {
	case errors.Is(err, agent.ErrTokenDead):
		err = withHint(err, "coder external-workspaces agent-instructions <workspace> shows the token of a workspace")
		return withStatus{err, exitHopeless}
	case errors.Is(err, agent.ErrReplaced):
		return withStatus{withHint(err, "stop one of the two, or create a workspace for each machine"), exitHopeless}
	}
	return err
}

// untilHandOver ends ctx also by SIGUSR2, after which the sessions stay, unless
// systemd sent it because the machine stops.
func untilHandOver(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-signals:
			if machineStops(ctx) {
				cancel(nil)
			} else {
				cancel(agent.ErrHandOver)
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
		<-done
	}
}

// client checks everything that can be wrong before anything is dialed.
func (f agentFlags) client() (*api.Client, error) {
	if f.url == "" {
		return nil, withHint(errors.New("the URL of the server is not set"), "set CODER_AGENT_URL or --agent-url")
	}
	url, err := api.ParseURL(f.url)
	if err != nil {
		return nil, withHint(err, "check CODER_AGENT_URL")
	}
	if f.token == "" && f.tokenFile != "" {
		raw, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the agent token: %w", err)
		}
		f.token = string(raw)
	}
	token := strings.TrimSpace(f.token)
	if token == "" {
		return nil, withHint(errors.New("the agent token is not set"), "set CODER_AGENT_TOKEN or CODER_AGENT_TOKEN_FILE")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, withHint(errors.New("the agent token is not one"), "check CODER_AGENT_TOKEN")
	}
	header := http.Header{}
	for _, pair := range f.header {
		if err := addHeader(header, pair); err != nil {
			return nil, err
		}
	}
	return &api.Client{URL: url, Token: token, Header: header, HTTP: &http.Client{Transport: api.Transport()}}, nil
}
