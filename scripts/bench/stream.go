//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// streamRounds is how often each stream is measured; they take turns and the
// median counts.
const streamRounds = 3

// streamResult is what one end of a stream measured.
type streamResult struct {
	Gbps    float64 // of the source
	Drops   uint64  // inside the process
	PeakRSS float64 // MB
}

// streamKind is one way to carry a stream.
type streamKind struct {
	network string   // of networks
	args    []string // of both ends
	env     []string
	results []streamResult // of the sources; Drops and PeakRSS are those of both
}

// streams measures one TCP connection between two processes: through two of our
// nodes, through two tsnet nodes and without any, directly and relayed. The
// relays are processes of their own.
func streams(ctx context.Context, e *environment) ([]row, error) {
	relay, relayMap, err := e.startPart(ctx, nil, "relay")
	if err != nil {
		return nil, err
	}
	defer relay.Close()
	control, controlURL, err := e.startPart(ctx, tsnetEnv, "tsnet-control")
	if err != nil {
		return nil, err
	}
	defer control.Close()
	ours := &streamKind{network: "berth", args: []string{"direct", relayMap}}
	oursRelayed := &streamKind{network: "berth", args: []string{"relayed", relayMap}}
	tsnet := &streamKind{network: "tsnet", args: []string{"direct", controlURL}, env: tsnetEnv}
	tsnetRelayed := &streamKind{network: "tsnet", args: []string{"relayed", controlURL}, env: append(tsnetEnv, "TS_DEBUG_ALWAYS_USE_DERP=true")}
	raw := &streamKind{network: "tcp"}
	for range streamRounds {
		for _, k := range []*streamKind{ours, tsnet, raw, oursRelayed, tsnetRelayed} {
			if err := e.measureStream(ctx, k); err != nil {
				return nil, fmt.Errorf("stream of %s: %w", k.network, err)
			}
		}
	}
	const peer = "tsnet"
	return []row{
		{name: "one TCP stream, direct", value: ours.rate(), unit: "Gbit/s", peer: peer, peerValue: tsnet.rate(), limits: []limit{ratioAtLeast(1.2)}},
		{name: "one TCP stream, direct, beside raw TCP", value: ours.rate(), unit: "Gbit/s", peer: "TCP, loopback", peerValue: raw.rate()},
		{name: "one TCP stream, direct, drops in both processes", value: ours.drops(), unit: "packets", limits: []limit{atMost(0)}},
		{name: "one TCP stream, direct, largest RSS of an end", value: ours.memory(), unit: "MB", peer: peer, peerValue: tsnet.memory()},
		{name: "one TCP stream, relayed", value: oursRelayed.rate(), unit: "Gbit/s", peer: peer + " (1280-byte packets)", peerValue: tsnetRelayed.rate(), limits: []limit{ratioAtLeast(5)}},
		{name: "one TCP stream, relayed, drops in both processes", value: oursRelayed.drops(), unit: "packets", limits: []limit{atMost(0)}},
	}, nil
}

func (k *streamKind) rate() float64 {
	var all []float64
	for _, r := range k.results {
		all = append(all, r.Gbps)
	}
	return median(all)
}

func (k *streamKind) drops() float64 {
	var sum uint64
	for _, r := range k.results {
		sum += r.Drops
	}
	return float64(sum)
}

func (k *streamKind) memory() float64 {
	var largest float64
	for _, r := range k.results {
		largest = max(largest, r.PeakRSS)
	}
	return largest
}

// startPart starts a part of the benchmark and returns what it says when it is
// ready.
func (e *environment) startPart(ctx context.Context, env []string, args ...string) (*process, string, error) {
	p, err := e.part(ctx, env, args...)
	if err != nil {
		return nil, "", err
	}
	line, err := p.await(ctx, "ready ")
	if err != nil {
		return nil, "", errors.Join(err, p.Close())
	}
	return p, strings.TrimPrefix(line, "ready "), nil
}

// part starts a part of the benchmark. Its files go with the environment.
func (e *environment) part(ctx context.Context, env []string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, e.self, args...)
	cmd.Env = append(append(without("CODER_"), "TMPDIR="+e.dir), env...)
	return start(cmd)
}

// measureStream runs both ends of a stream once and adds the result.
func (e *environment) measureStream(ctx context.Context, k *streamKind) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sink, err := e.part(ctx, k.env, append([]string{"stream", k.network, "sink"}, k.args...)...)
	if err != nil {
		return err
	}
	defer sink.kill9() // a tsnet node takes seconds to say goodbye
	source, err := e.part(ctx, k.env, append([]string{"stream", k.network, "source"}, k.args...)...)
	if err != nil {
		return err
	}
	defer source.kill9()
	sent, received := relayLines(ctx, source, sink), relayLines(ctx, sink, source)
	var ends [2]streamResult
	for i, end := range []<-chan string{sent, received} {
		text, ok := <-end
		if !ok {
			return fmt.Errorf("an end left:\n%s\n%s", source.tail(), sink.tail())
		}
		if err := json.Unmarshal([]byte(text), &ends[i]); err != nil {
			return err
		}
	}
	k.results = append(k.results, streamResult{
		Gbps: ends[0].Gbps, Drops: ends[0].Drops + ends[1].Drops, PeakRSS: max(ends[0].PeakRSS, ends[1].PeakRSS),
	})
	return nil
}

// relayLines carries what a process says about itself to another, until it has
// a result, which it returns. The channel is closed without one when the
// process ends.
func relayLines(ctx context.Context, from, to *process) <-chan string {
	result := make(chan string, 1)
	go func() {
		defer close(result)
		for {
			line, err := from.await(ctx, " ")
			if err != nil {
				return
			}
			if text, ok := strings.CutPrefix(line, "done "); ok {
				result <- text
				return
			}
			if strings.HasPrefix(line, "peer ") {
				if err := to.say(line); err != nil {
					return
				}
			}
		}
	}()
	return result
}
