package main

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/connect/forward"
)

const (
	// portsEvery is how often the ports of the workspace are asked for: what
	// begins to listen shall be here within a second.
	portsEvery = 400 * time.Millisecond
	// portsTimeout bounds one answer.
	portsTimeout = 10 * time.Second
	// maxFollowed bounds what a workspace can open on this machine.
	maxFollowed = 500
)

// follow forwards each port on which a program of the user listens, for as long
// as it does, until ctx ends. A port that is taken here gets another one.
func (f *forwarding) follow(ctx context.Context, conn *connect.Conn) {
	followed := map[uint16]*forward.Forward{}
	for _, fw := range f.all { // what was asked for stays as it is
		if r := fw.Rule(); r.Network == "tcp" && r.Target.Host == "" {
			followed[r.Target.Port] = nil
		}
	}
	tick := time.NewTicker(portsEvery)
	defer tick.Stop()
	for {
		ports, err := listeningPorts(ctx, conn)
		if err == nil {
			f.apply(ctx, followed, ports)
		} else if ctx.Err() == nil {
			f.cfg.Log.Debug("ports of the workspace not known", "err", err) // it may be about to come back
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func listeningPorts(ctx context.Context, conn *connect.Conn) ([]connect.ListeningPort, error) {
	ctx, cancel := context.WithTimeout(ctx, portsTimeout)
	defer cancel()
	return conn.ListeningPorts(ctx)
}

// apply makes followed what there is now. Entries that are nil are not ours.
func (f *forwarding) apply(ctx context.Context, followed map[uint16]*forward.Forward, ports []connect.ListeningPort) {
	listening := map[uint16]bool{}
	for _, p := range ports {
		if p.Own != nil && !*p.Own {
			continue
		}
		listening[p.Port] = true
		if _, known := followed[p.Port]; known || len(followed) >= maxFollowed || f.isOwn(p) {
			continue
		}
		fw, err := f.beginNear(ctx, p)
		if err != nil {
			f.cfg.Log.Warn("port not forwarded", "port", p.Port, "err", err)
			continue
		}
		followed[p.Port] = fw
	}
	for port, fw := range followed {
		if fw != nil && !listening[port] {
			f.end(fw)
			delete(followed, port)
		}
	}
}

// isOwn reports whether a port that is not followed is one on which this process
// listens: the workspace is this very machine, and each forward would be forwarded.
func (f *forwarding) isOwn(p connect.ListeningPort) bool {
	if p.Process == "" || !strings.HasPrefix(filepath.Base(os.Args[0]), p.Process) { // which Linux cuts
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fw := range f.all {
		for _, address := range fw.Addresses() {
			if at, err := netip.ParseAddrPort(address); err == nil && at.Port() == p.Port {
				return true
			}
		}
	}
	return false
}

// beginNear forwards the same port here or, when that cannot be had, a free one.
func (f *forwarding) beginNear(ctx context.Context, p connect.ListeningPort) (*forward.Forward, error) {
	target := forward.Endpoint{Port: p.Port}
	fw, err := f.begin(ctx, forward.Rule{Network: "tcp", Listen: target, Target: target}, p.Process)
	if err == nil {
		return fw, nil
	}
	return f.begin(ctx, forward.Rule{Network: "tcp", Target: target}, p.Process)
}

// end takes no more connections for a port on which nothing listens.
func (f *forwarding) end(fw *forward.Forward) {
	fw.Stop()
	f.mu.Lock()
	for i, one := range f.all {
		if one == fw {
			f.all = append(f.all[:i:i], f.all[i+1:]...)
			break
		}
	}
	f.mu.Unlock()
	f.show.ended(fw)
}
