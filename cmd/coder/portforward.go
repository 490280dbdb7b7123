package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/connect/forward"
)

// portForwarding is one run of port-forward.
type portForwarding struct {
	tcp, udp []string
	auto     bool
	output   string
	ssh      sshOptions

	rules []forward.Rule
}

func portForwardCommand(g *globals) *cobra.Command {
	o := &portForwarding{}
	cmd := &cobra.Command{
		Use:     "port-forward WORKSPACE",
		Aliases: []string{"tunnel"},
		Short:   "Reach ports of a workspace from this machine",
		Long: "Reach ports of a workspace from this machine, until it is interrupted. Connections wait\n" +
			"for a workspace that is restarted, and the listeners stay.\n\n" +
			"The ports are those here and there, 8080 for the same on both sides:\n\n" +
			"  8080  5678:1234  9090-9092:19090-19092  8080,9000:3000\n" +
			"  0.0.0.0:8080:80       an address of this machine, not 127.0.0.1 and ::1\n" +
			"  5432:db.internal:5432 a host that the workspace reaches (tcp only)\n" +
			"  /tmp/x.sock:8080  2375:/run/docker.sock   Unix sockets (tcp only)",
		Example: "  coder port-forward dev --tcp 8080 --tcp 5432:db.internal:5432\n" +
			"  coder port-forward dev --udp 53000:53\n  coder port-forward dev --auto",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parse(args[0]); err != nil {
				return err
			}
			return o.run(cmd, g)
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVarP(&o.tcp, "tcp", "p", nil, "`ports` of TCP connections; may be repeated")
	env(fs, "tcp", "CODER_PORT_FORWARD_TCP")
	fs.StringArrayVar(&o.udp, "udp", nil, "`ports` of UDP datagrams; may be repeated")
	env(fs, "udp", "CODER_PORT_FORWARD_UDP")
	fs.BoolVar(&o.auto, "auto", false, "also each TCP port on which a program of yours listens in the workspace, while it does")
	fs.StringVarP(&o.output, "output", "o", "text", "output `format`: text or json, which is one object a line")
	fs.BoolVar(&o.ssh.disableAutostart, "disable-autostart", false, "do not start a workspace that is stopped")
	env(fs, "disable-autostart", "CODER_PORT_FORWARD_DISABLE_AUTOSTART")
	return cmd
}

// parse checks everything that can be wrong before anything is done.
func (o *portForwarding) parse(name string) (err error) {
	o.ssh.wait = "no"
	if o.ssh.target, err = parseTarget(name); err != nil {
		return err
	}
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("unknown output format %q, want text or json", o.output)
	}
	if err := errors.Join(o.add("tcp", o.tcp), o.add("udp", o.udp)); err != nil {
		return err
	}
	if len(o.rules) == 0 && !o.auto {
		return withHint(errors.New("no ports given"), "coder port-forward "+name+" --tcp 8080, or --auto")
	}
	return nil
}

func (o *portForwarding) add(network string, lists []string) error {
	for _, list := range lists {
		rules, err := forward.Parse(network, list)
		if err != nil {
			return withHint(fmt.Errorf("--%s %w", network, err), "coder port-forward --help")
		}
		o.rules = append(o.rules, rules...)
	}
	return nil
}

func (o *portForwarding) run(cmd *cobra.Command, g *globals) error {
	return o.ssh.withAgent(cmd.Context(), g, func(w way) error {
		elsewhere := &connect.Elsewhere{Conn: w.conn}
		defer elsewhere.Close()
		f := &forwarding{
			cfg:  forward.Config{Dial: dialer(w.conn, elsewhere), Log: g.logger()},
			show: newForwardDisplay(cmd.OutOrStdout(), printable(w.workspace.Name), o.output),
		}
		defer f.running.Wait()
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		return f.run(ctx, w, o.rules, o.auto)
	})
}

// run forwards until ctx ends, which is no error; one is that a rule cannot be
// listened for, or that the workspace was deleted.
func (f *forwarding) run(ctx context.Context, w way, rules []forward.Rule, auto bool) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	f.cfg.Dial, f.cfg.Failed = f.unlessStopped(f.cfg.Dial), f.tellFailure()
	for _, rule := range rules {
		if _, err := f.begin(ctx, rule, ""); errors.Is(err, syscall.EADDRINUSE) {
			return withHint(err, "give another port of this machine, as in 8081:8080, or 0 for one that is free")
		} else if err != nil {
			return err
		}
	}
	f.show.ready()
	f.running.Go(func() { end(f.watch(ctx, w)) })
	f.running.Go(func() { f.reportUse(ctx, w) })
	f.running.Go(func() { f.refresh(ctx) })
	if auto {
		f.follow(ctx, w.conn)
	}
	<-ctx.Done()
	var deleted stoppedError
	if errors.As(context.Cause(ctx), &deleted) {
		return withHint(deleted, "coder list")
	}
	return nil
}

// dialer reaches ports of the workspace itself directly, and what is beyond by
// its SSH server.
func dialer(conn *connect.Conn, elsewhere *connect.Elsewhere) func(context.Context, string, forward.Endpoint) (net.Conn, error) {
	return func(ctx context.Context, network string, to forward.Endpoint) (net.Conn, error) {
		switch {
		case to.Path != "":
			return elsewhere.Dial(ctx, "unix", to.Path)
		case to.Host != "":
			return elsewhere.Dial(ctx, "tcp", to.String())
		case network == "udp":
			return conn.DialUDP(ctx, to.Port)
		}
		c, err := conn.DialTCP(ctx, to.Port)
		if errors.Is(err, connect.ErrRefused) {
			err = fmt.Errorf("nothing listens on port %d of the workspace", to.Port)
		}
		return c, err
	}
}

// forwarding is what is forwarded now.
type forwarding struct {
	cfg     forward.Config
	show    forwardDisplay
	running sync.WaitGroup
	stopped atomic.Pointer[stoppedError] // the workspace is, if not nil

	mu  sync.Mutex // guards below
	all []*forward.Forward
}

// begin listens for a rule and forwards until ctx ends or it is stopped. process
// is the name of the program that listens in the workspace, if that is known.
func (f *forwarding) begin(ctx context.Context, rule forward.Rule, process string) (*forward.Forward, error) {
	fw, err := forward.Listen(rule, f.cfg)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.all = append(f.all, fw)
	f.mu.Unlock()
	f.show.began(fw, process)
	f.running.Go(func() { fw.Run(ctx) })
	return fw, nil
}

// traffic is the number of bytes that were carried until now.
func (f *forwarding) traffic() (n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fw := range f.all {
		s := fw.Status()
		n += s.Sent + s.Received
	}
	return n
}

// reportUse counts a minute in which bytes were carried as use of the workspace.
func (f *forwarding) reportUse(ctx context.Context, w way) {
	tick := time.NewTicker(usageEvery)
	defer tick.Stop()
	var before uint64
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := f.traffic()
		if now == before {
			continue
		}
		before = now
		if err := w.client.ReportUsage(ctx, w.workspace.ID, usage(w.agent.ID, "ssh")); err != nil && ctx.Err() == nil {
			f.cfg.Log.Debug("cannot report usage", "err", err)
		}
	}
}

// refreshEvery is how often numbers on a terminal change.
const refreshEvery = 500 * time.Millisecond

func (f *forwarding) refresh(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.show.refresh()
		case <-ctx.Done():
			return
		}
	}
}

// newForwardDisplay chooses how changes are told.
func newForwardDisplay(out io.Writer, workspace, format string) forwardDisplay {
	switch {
	case format == "json":
		return &forwardJSON{out: out}
	case out == os.Stdout && term.IsTerminal(int(os.Stdout.Fd())):
		return &forwardTable{out: out, workspace: workspace}
	}
	return &forwardLines{out: out, workspace: workspace}
}

// addresses names where a forward listens.
func addresses(fw *forward.Forward) string { return strings.Join(fw.Addresses(), ", ") }
