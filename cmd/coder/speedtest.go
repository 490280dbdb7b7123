package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/connect/speedtest"
)

const (
	// speedtestPort is where agents measure the path with their clients.
	speedtestPort = 3
	// directWait is how long --direct waits for a direct path.
	directWait = 15 * time.Second
	// directAgain is the pause between two looks.
	directAgain = 200 * time.Millisecond
	// greetWait bounds reaching the agent.
	greetWait = 30 * time.Second
)

// speedTest is one run of speedtest.
type speedTest struct {
	direct    bool
	direction string
	pcap      string // refused
	duration  time.Duration
	format    *format[throughput]
}

// throughput is a row of the table: an interval, or the whole test.
type throughput struct {
	speedtest.Interval
	whole bool
}

// speed is what --output json shows of an interval; editors read it.
type speed struct {
	Start      float64 `json:"start_time_seconds"`
	End        float64 `json:"end_time_seconds"`
	Throughput float64 `json:"throughput_mbits"`
}

func speedOf(i speedtest.Interval) speed {
	return speed{i.Start.Seconds(), i.End.Seconds(), i.MegabitsPerSecond()}
}

func speedtestCommand(g *globals) *cobra.Command {
	o := &speedTest{format: &format[throughput]{columns: []column[throughput]{
		{name: "interval", value: throughput.interval},
		{name: "throughput", value: func(m throughput) string { return fmt.Sprintf("%.1f Mbit/s", m.MegabitsPerSecond()) }},
		{name: "bytes", value: func(m throughput) string { return binary(uint64(m.Bytes)) }, hidden: true},
	}}}
	cmd := &cobra.Command{
		Use:   "speedtest WORKSPACE",
		Short: "Measure how much the path to a workspace carries",
		Long: "Measure how much the path to a workspace carries, one way at a time: down is from the\n" +
			"workspace to this machine. What is counted is what arrived. It says which way it went.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeWorkspaces(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			direction, err := o.check(g)
			if err != nil {
				return err
			}
			at, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			ssh := &sshOptions{wait: "no", target: at}
			return ssh.withAgent(cmd.Context(), g, func(w way) error { return o.run(cmd, w.conn, direction) })
		},
	}
	fs := cmd.Flags()
	fs.BoolVarP(&o.direct, "direct", "d", false, "wait for a direct path, and fail if there is none")
	fs.StringVar(&o.direction, "direction", "down", "which way bytes go: down or up")
	fs.DurationVarP(&o.duration, "time", "t", 5*time.Second, "how long the test takes, at most 30s")
	fs.StringVar(&o.pcap, "pcap-file", "", "refused: packets are not recorded")
	fs.Lookup("pcap-file").Hidden = true
	o.format.register(cmd)
	return cmd
}

// check reads the flags.
func (o *speedTest) check(g *globals) (speedtest.Direction, error) {
	if o.pcap != "" {
		return 0, withHint(errors.New("--pcap-file: packets are not recorded"), "tcpdump -i any -w "+o.pcap+" udp, which sees them encrypted")
	}
	if o.direct && g.disableDirect {
		return 0, errors.New("--direct: direct connections are switched off by --disable-direct-connections")
	}
	if o.duration <= 0 || o.duration > speedtest.MaxDuration {
		return 0, fmt.Errorf("--time %v: want more than 0 and at most %v", o.duration, speedtest.MaxDuration)
	}
	switch o.direction {
	case "down":
		return speedtest.Download, nil
	case "up":
		return speedtest.Upload, nil
	}
	return 0, fmt.Errorf("--direction %q: want down or up", o.direction)
}

func (o *speedTest) run(cmd *cobra.Command, conn *connect.Conn, direction speedtest.Direction) error {
	ctx := cmd.Context()
	p := showProgress("Waiting for a direct path")
	defer p.end()
	if o.direct {
		if err := awaitDirect(ctx, conn); err != nil {
			return err
		}
	}
	p.now(fmt.Sprintf("Measuring for %v", o.duration))
	stream, err := dialSpeedtest(ctx, conn)
	if err != nil {
		return err
	}
	r, err := speedtest.Run(ctx, stream, direction, o.duration)
	if err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	p.end()
	return o.print(cmd, conn, r)
}

func dialSpeedtest(ctx context.Context, conn *connect.Conn) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, greetWait)
	defer cancel()
	stream, err := conn.DialTCP(ctx, speedtestPort)
	if errors.Is(err, connect.ErrRefused) {
		err = errors.New("the workspace's agent makes no speed tests: it is too old")
	}
	return stream, err
}

// awaitDirect waits until packets take a direct path.
func awaitDirect(ctx context.Context, conn *connect.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, directWait)
	defer cancel()
	for {
		if pong, err := conn.Ping(ctx); err == nil && pong.Direct {
			return nil
		}
		if !pause(ctx, directAgain) {
			return withHint(fmt.Errorf("no direct path within %v", directWait), "leave out --direct to measure the relay")
		}
	}
}

func (o *speedTest) print(cmd *cobra.Command, conn *connect.Conn, r speedtest.Result) error {
	rows := make([]throughput, 0, len(r.Intervals)+1)
	as := struct {
		Overall   speed   `json:"overall"`
		Intervals []speed `json:"intervals"`
	}{speedOf(r.Overall), []speed{}}
	for _, i := range r.Intervals {
		rows = append(rows, throughput{i, false})
		as.Intervals = append(as.Intervals, speedOf(i))
	}
	rows = append(rows, throughput{r.Overall, true})
	if o.format.output == "table" {
		fmt.Fprintf(cmd.ErrOrStderr(), "Measured %s.\n", pathName(conn))
	}
	return o.format.print(cmd.OutOrStdout(), rows, as)
}

// pathName says how the last packets went.
func pathName(conn *connect.Conn) string {
	path := conn.Path()
	if path.Direct {
		return fmt.Sprintf("directly, via %s", path.Endpoint)
	}
	return "through the relay " + printable(conn.RegionName(path.Region))
}

func (m throughput) interval() string {
	text := fmt.Sprintf("%.2f-%.2f s", m.Start.Seconds(), m.End.Seconds())
	if m.whole {
		return text + " in all"
	}
	return text
}
