//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	agentStarts = 9
	// idleFor is how long the memory of an idle agent is watched; the largest
	// sample counts.
	idleFor = 5 * time.Second
	// quietFor is how long its use of processors is watched: 0.1 % are then six
	// ticks of the clock that it is counted in.
	quietFor = time.Minute
	// bulkBytes and bulkFor bound what is moved through the agent.
	bulkBytes = 10e9
	bulkFor   = 60 * time.Second
	sampling  = 200 * time.Millisecond
	// settleFor is when an agent has given back what a burst of work left.
	settleFor = 5 * time.Second
)

// agentProcess measures the processes of an agent: their start, and their memory
// idle, while much is moved through one session, and after it.
func agentProcess(ctx context.Context, e *environment) ([]row, error) {
	d, err := e.deploy(ctx, exec.CommandContext, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	started, err := agentStart(ctx, e, d)
	if err != nil {
		return nil, err
	}
	agent, err := d.agent(ctx, exec.CommandContext, e.slim)
	if err != nil {
		return nil, err
	}
	d.closeLater(agent)
	pid := agent.cmd.Process.Pid
	idle, err := largestPSS(ctx, pid, time.After(idleFor))
	if err != nil {
		return nil, err
	}
	cpu, err := idleCPU(ctx, pid)
	if err != nil {
		return nil, err
	}
	rows := []row{
		{name: "agent, start to connected, p50", value: started, unit: "ms", limits: []limit{atMost(200)}},
		{name: "agent, PSS idle", value: idle, unit: "MB", limits: []limit{atMost(30)}},
		{name: "agent, processor time idle", value: cpu, unit: "%", limits: []limit{atMost(0.1)}},
	}
	moved, peak, err := bulk(ctx, d, pid)
	if err != nil {
		return append(rows, failed("agent, PSS after 10 GB", err)), nil
	}
	select {
	case <-time.After(settleFor):
	case <-ctx.Done():
		return rows, ctx.Err()
	}
	after, err := halves(pid)
	if err != nil {
		return rows, err
	}
	return append(rows,
		row{name: fmt.Sprintf("agent, PSS after %.1f GB", moved/1e9), value: after, unit: "MB", limits: []limit{atMost(80)}},
		row{name: fmt.Sprintf("agent, largest PSS during %.1f GB", moved/1e9), value: peak, unit: "MB"},
	), nil
}

// agentStart returns the median time from the start of the process until it
// says that it is connected, in milliseconds.
func agentStart(ctx context.Context, e *environment, d *deployment) (float64, error) {
	var took []float64
	for range agentStarts {
		began := time.Now()
		p, err := d.agent(ctx, exec.CommandContext, e.slim)
		if err != nil {
			return 0, err
		}
		took = append(took, milliseconds(time.Since(began)))
		if err := p.Close(); err != nil {
			return 0, err
		}
	}
	return median(took), nil
}

// bulk moves bytes into a session and returns how many, and the agent's largest
// PSS meanwhile.
func bulk(ctx context.Context, d *deployment, pid int) (moved, peak float64, err error) {
	input := &zeros{left: bulkBytes, until: time.Now().Add(bulkFor)}
	cmd := d.user(ctx, exec.CommandContext, d.coder, "ssh", "ws", "--", "cat > /dev/null")
	cmd.Stdin = input
	ended := make(chan error, 1)
	done := make(chan time.Time)
	go func() {
		defer close(done)
		_, err := output(cmd)
		ended <- err
	}()
	peak, err = largestPSS(ctx, pid, done)
	return float64(input.given), peak, errors.Join(err, <-ended)
}

// zeros is so many bytes, or fewer when the time is over.
type zeros struct {
	left  int64
	until time.Time // zero: there is time
	given int64
}

func (z *zeros) Read(p []byte) (int, error) {
	if z.left <= 0 || !z.until.IsZero() && time.Now().After(z.until) {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.left))
	clear(p[:n])
	z.left -= int64(n)
	z.given += int64(n)
	return n, nil
}

// largestPSS samples the memory of a process until something happens.
func largestPSS(ctx context.Context, pid int, until <-chan time.Time) (float64, error) {
	tick := time.NewTicker(sampling)
	defer tick.Stop()
	var largest float64
	for {
		now, err := halves(pid)
		if err != nil {
			return 0, err
		}
		largest = max(largest, now)
		select {
		case <-tick.C:
		case <-until:
			return largest, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// halves is the memory of an agent's network half pid and of its session host,
// in MB.
func halves(pid int) (float64, error) {
	return sumOf(pid, pss)
}

// sumOf adds up something of an agent's network half pid and of its session
// host.
func sumOf(pid int, of func(pid int) (float64, error)) (float64, error) {
	sum, err := of(pid)
	if err != nil {
		return 0, err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		host, convErr := strconv.Atoi(child)
		its, ofErr := of(host)
		if err = errors.Join(err, convErr, ofErr); err != nil {
			break
		}
		sum += its
	}
	return sum, err
}

// idleCPU is which share of one processor an agent takes while nothing happens,
// in per cent.
func idleCPU(ctx context.Context, pid int) (float64, error) {
	before, err := sumOf(pid, cpuTime)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	select {
	case <-time.After(quietFor):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := sumOf(pid, cpuTime)
	return (after - before) / time.Since(began).Seconds() * 100, err
}

// cpuTime is what a process has taken of processors, in seconds: the fields
// utime and stime of proc_pid_stat(5), in hundredths.
func cpuTime(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name may have blanks
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err := strconv.ParseFloat(fields[11], 64)
	system, sysErr := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100, errors.Join(err, sysErr)
}

// pss is the proportional set size of a process in MB: pages that it shares
// with others count by their share.
func pss(pid int) (float64, error) {
	return memoryField(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
}

// rss is the resident set size of a process in MB.
func rss(pid int) (float64, error) {
	return memoryField(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
}

func memoryField(file, field string) (float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		if rest, ok := strings.CutPrefix(scan.Text(), field); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb * 1024 / mega, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, field)
}
