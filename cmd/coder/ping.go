package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/tailnet"
)

// pinging is one run of ping.
type pinging struct {
	count         int
	wait, timeout time.Duration
	stamp, utc    bool
	target        target
}

func pingCommand(g *globals) *cobra.Command {
	o := &pinging{}
	cmd := &cobra.Command{
		Use:   "ping WORKSPACE",
		Short: "Measure the path to a workspace",
		Long: "Measure the path to a workspace. Each line says whether the answer came direct or through a relay, " +
			"from where and how long it took. The first ones usually come through the relay: a direct path is looked for meanwhile.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.target, err = parseTarget(args[0]); err != nil {
				return err
			}
			if err := o.check(); err != nil {
				return err
			}
			if !cmd.Flags().Changed("num") && !term.IsTerminal(int(os.Stdout.Fd())) {
				o.count = 10
			}
			return o.run(cmd, g)
		},
	}
	fs := cmd.Flags()
	fs.IntVarP(&o.count, "num", "n", 0, "how many pings; 0: until interrupted (default 10 without a terminal)")
	fs.DurationVar(&o.wait, "wait", time.Second, "pause between two pings")
	fs.DurationVarP(&o.timeout, "timeout", "t", 5*time.Second, "how long one answer may take")
	fs.BoolVar(&o.stamp, "time", false, "begin each line with the time")
	fs.BoolVar(&o.utc, "utc", false, "the same, in UTC")
	return cmd
}

// check finds what is wrong with the flags.
func (o *pinging) check() error {
	switch {
	case o.count < 0:
		return fmt.Errorf("--num %d: want no less than 0", o.count)
	case o.wait < 0:
		return fmt.Errorf("--wait %v: want no less than 0", o.wait)
	case o.timeout <= 0:
		return fmt.Errorf("--timeout %v: want more than 0", o.timeout)
	}
	return nil
}

func (o *pinging) run(cmd *cobra.Command, g *globals) error {
	ctx := cmd.Context()
	c, err := g.client(ctx)
	if err != nil {
		return err
	}
	conn := connect.Open(connect.Config{Client: c, BlockDirect: g.disableDirect, Logger: g.logger()})
	defer conn.Close()
	p := showProgress("Connecting to " + o.target.String())
	defer p.end()
	ws, err := o.target.find(ctx, c)
	if err != nil {
		return err
	}
	agent, err := o.target.pick(ws)
	if err != nil {
		return err
	}
	if err := conn.Reach(ctx, agent.ID); err != nil {
		return err
	}
	p.end()
	return o.loop(ctx, cmd, conn)
}

// loop pings and sums up; interrupted, it ends well if there was an answer.
func (o *pinging) loop(ctx context.Context, cmd *cobra.Command, conn *connect.Conn) error {
	var sum pings
	for i := 0; o.count == 0 || i < o.count; i++ {
		if i > 0 && !pause(ctx, o.wait) {
			break
		}
		line, took, ok := o.once(ctx, conn)
		if ctx.Err() != nil {
			break
		}
		sum.add(took, ok)
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), o.prefix(time.Now())+line); err != nil {
			return err
		}
	}
	if sum.answered > 0 {
		fmt.Fprintln(os.Stderr, sum)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return withHint(fmt.Errorf("no answer from workspace %q", o.target), "is its agent running? coder show "+o.target.workspaceName())
}

// pings sums up what came of them.
type pings struct {
	sent, answered      int
	least, most, summed time.Duration
}

func (p *pings) add(took time.Duration, answered bool) {
	if p.sent++; !answered {
		return
	}
	if p.answered++; p.answered == 1 || took < p.least {
		p.least = took
	}
	p.most, p.summed = max(p.most, took), p.summed+took
}

// String is of at least one answer.
func (p pings) String() string {
	return fmt.Sprintf("%d of %d answered: %s at least, %s on average, %s at most",
		p.answered, p.sent, millis(p.least), millis(p.summed/time.Duration(p.answered)), millis(p.most))
}

func (o *pinging) once(ctx context.Context, conn *connect.Conn) (line string, took time.Duration, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	pong, err := conn.Ping(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no pong from %s within %v", o.target, o.timeout), 0, false
	case err != nil:
		return fmt.Sprintf("no pong from %s: %v", o.target, err), 0, false
	}
	return fmt.Sprintf("pong from %s %s in %s", o.target, via(pong, conn), millis(pong.Latency)), pong.Latency, true
}

// via names the path: direct and the address, or the relay and its region.
func via(pong tailnet.PingResult, conn *connect.Conn) string {
	if pong.Direct {
		return fmt.Sprintf("direct via %s", pong.Endpoint)
	}
	return fmt.Sprintf("relay via %s", printable(conn.RegionName(pong.Region)))
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1fms", d.Seconds()*1e3) }

func (o *pinging) prefix(now time.Time) string {
	switch {
	case o.utc:
		return now.UTC().Format(time.RFC3339) + " "
	case o.stamp:
		return now.Format(time.RFC3339) + " "
	}
	return ""
}

// pause waits and reports whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
