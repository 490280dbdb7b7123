//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

const (
	labLatency = 25 * time.Millisecond // one way
	labRTT     = 2 * labLatency
	labRuns    = 15
	// lossClients share lossRuns, or what fits into lossFor; each has a link of
	// its own.
	lossClients = 8
	lossRuns    = 1000
	lossFor     = 80 * time.Second
	// lossLimit is how long one run may take: longer is a failure.
	lossLimit = 30 * time.Second
)

// labSessions measures cold sessions over links with latency and loss, relay
// only. OpenSSH goes the same way to an sshd beside the agent.
func labSessions(ctx context.Context, e *environment) (rows []row, err error) {
	err = inLab(func(t *labTB) error {
		k := netlab.NewKernel(t, netlab.KernelConfig{})
		server, workspace := k.Host("server"), k.Host("workspace")
		clients := make([]*netlab.Host, lossClients)
		for i := range clients {
			clients[i] = k.Host(fmt.Sprintf("client%d", i))
		}
		// One user connects more often than the limits allow.
		d, err := e.deploy(ctx, server.Command, server.Addr().String(), "--dangerous-disable-rate-limits")
		if err != nil {
			return err
		}
		defer d.Close()
		agent, err := d.agent(ctx, workspace.Command, e.slim)
		if err != nil {
			return err
		}
		d.closeLater(agent)
		peer, err := e.startSSHD(ctx, workspace.Command, workspace.Addr().String())
		if err != nil {
			return err
		}
		defer peer.Close()
		if rows, err = roundTrips(ctx, d, peer, clients[0]); err != nil {
			return err
		}
		rows = append(rows, lossySessions(ctx, d, clients)...)
		return nil
	})
	return rows, err
}

// relayed is the command that is measured.
func (d *deployment) relayed(ctx context.Context, on machine) *exec.Cmd {
	return d.user(ctx, on, d.coder, "--disable-direct-connections", "ssh", "ws", "--", "true")
}

// roundTrips takes what the same costs over a perfect link off, and what is
// left is round trips.
func roundTrips(ctx context.Context, d *deployment, peer *openSSH, client *netlab.Host) ([]row, error) {
	var ours, theirs [2]float64
	for i, latency := range []time.Duration{0, labLatency} {
		client.Link().Set(netlab.Conditions{Latency: latency})
		took, err := alternate(labRuns,
			func() *exec.Cmd { return d.relayed(ctx, client.Command) },
			func() *exec.Cmd { return peer.ssh(ctx, client.Command, "true") },
		)
		if err != nil {
			return nil, err
		}
		ours[i], theirs[i] = median(took[0]), median(took[1])
	}
	trips := func(took [2]float64) float64 { return (took[1] - took[0]) / milliseconds(labRTT) }
	return []row{
		{name: "cold coder ssh, 50 ms RTT, relay only, p50", value: ours[1], unit: "ms", peer: "ssh to sshd", peerValue: theirs[1], limits: []limit{atMost(10 * milliseconds(labRTT))}},
		{name: "cold coder ssh, 50 ms RTT, relay only, round trips", value: trips(ours), unit: "round trips", peer: "ssh to sshd", peerValue: trips(theirs), limits: []limit{atMost(10)}},
	}, nil
}

// lossySessions loses some of the first packets of each connection, each time
// others.
func lossySessions(ctx context.Context, d *deployment, clients []*netlab.Host) []row {
	var (
		next   atomic.Uint64
		mu     sync.Mutex // guards took and errs
		took   []float64
		errs   []error
		wg     sync.WaitGroup
		finish = time.Now().Add(lossFor)
	)
	for _, client := range clients {
		wg.Go(func() {
			for {
				seed := next.Add(1)
				if seed > lossRuns || time.Now().After(finish) || ctx.Err() != nil {
					return
				}
				t, err := lossyRun(ctx, d, client, seed)
				mu.Lock()
				if err != nil {
					errs = append(errs, fmt.Errorf("seed %d: %w", seed, err))
				} else {
					took = append(took, milliseconds(t))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	const name = "cold coder ssh, 50 ms RTT, first 5 packets lost with p = 0.2, "
	if len(errs) > 0 {
		return []row{failed(name+"p99", fmt.Errorf("%d of %d sessions failed, among them: %w", len(errs), len(errs)+len(took), errs[0]))}
	}
	of := fmt.Sprintf(" of %d", len(took))
	return []row{
		{name: name + "p50" + of, value: median(took), unit: "ms"},
		{name: name + "p99" + of, value: percentile(took, 0.99), unit: "ms", limits: []limit{atMost(2000)}},
		{name: name + "longest" + of, value: percentile(took, 1), unit: "ms"},
	}
}

func lossyRun(ctx context.Context, d *deployment, client *netlab.Host, seed uint64) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, lossLimit)
	defer cancel()
	client.Link().Set(netlab.Conditions{Latency: labLatency}) // what is left of the last run gets through
	if err := awaitQuiet(ctx, client); err != nil {
		return 0, err
	}
	client.Link().Set(netlab.Conditions{Latency: labLatency, Loss: 0.2, LossPackets: 5, Seed: seed})
	return timed(d.relayed(ctx, client.Command))
}

// awaitQuiet waits until no TCP connection of the host has anything to say, so
// that the packets that are lost are those of the next run.
func awaitQuiet(ctx context.Context, h *netlab.Host) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		var table []byte
		err := h.Do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/tcp")
			return err
		})
		if err != nil || !talking(string(table)) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("connections of the last run: %w", ctx.Err())
		}
	}
}

// talking reports whether a table of the kernel's TCP sockets has one whose
// state (fourth field, hexadecimal) is neither TIME_WAIT nor LISTEN.
func talking(table string) bool {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	for _, line := range lines[1:] {
		if f := strings.Fields(line); len(f) > 3 && f[3] != "06" && f[3] != "0A" {
			return true
		}
	}
	return false
}

// labTB lets a lab live outside a test. What a test would fail with ends
// inLab's function.
type labTB struct {
	cleanups []func()
	errs     []error
}

// labFailure is what Fatalf panics with.
type labFailure struct{ error }

func (t *labTB) Helper()             {}
func (t *labTB) Logf(string, ...any) {}
func (t *labTB) Errorf(format string, args ...any) {
	t.errs = append(t.errs, fmt.Errorf(format, args...))
}

func (t *labTB) Fatalf(format string, args ...any) {
	panic(labFailure{fmt.Errorf(format, args...)})
}
func (t *labTB) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// inLab runs f and then the clean-up that it asked for.
func inLab(f func(*labTB) error) (err error) {
	t := &labTB{}
	defer func() { err = errors.Join(append(t.errs, err)...) }()
	defer func() {
		for i := len(t.cleanups) - 1; i >= 0; i-- {
			t.cleanups[i]()
		}
	}()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case labFailure:
			err = p.error
		default:
			panic(p)
		}
	}()
	return f(t)
}
