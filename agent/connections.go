//go:build linux

package agent

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/agent/sshd"
)

// reportConnections tells the server who came and left, in order, each once: an
// event is forgotten by the session host when the server has it, or does not
// want it.
func (a *Agent) reportConnections(ctx context.Context, rpc proto.DRPCAgentClient, n *network) error {
	for {
		events, err := n.host.Events(ctx, n.reported.Load())
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			a.log.Debug("connections not known", "err", err) // the host may be about to come back, or to end
			select {
			case <-time.After(time.Second):
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for _, e := range events {
			if c := connection(e.Event); c != nil {
				if _, err := rpc.ReportConnection(ctx, &proto.ReportConnectionRequest{Connection: c}); err != nil {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					a.log.Debug("connection not reported", "err", err) // old servers do not take it
				}
			}
			n.reported.Store(e.Number)
		}
	}
}

// connection is what a server wants to know: of sessions, that they began and
// how they ended. It is nil for other events.
func connection(e sshd.Event) *proto.Connection {
	id, err := uuid.Parse(e.Session)
	if err != nil {
		return nil
	}
	c := &proto.Connection{
		Id: id[:], Timestamp: timestamppb.New(e.Time), Ip: addressOf(e.Remote), Type: connectionType(e.Type), AppName: appName(e.Type),
	}
	switch e.Kind {
	case sshd.SessionStarted:
		c.Action = proto.Connection_CONNECT
	case sshd.SessionEnded:
		c.Action, c.StatusCode = proto.Connection_DISCONNECT, int32(e.ExitCode)
		if e.Reason != "" {
			c.Reason = &e.Reason
		}
	default:
		return nil
	}
	return c
}

func connectionType(kind string) proto.Connection_Type {
	switch {
	case kind == "vscode":
		return proto.Connection_VSCODE
	case kind == "jetbrains":
		return proto.Connection_JETBRAINS
	case kind == host.TypeTerminal:
		return proto.Connection_RECONNECTING_PTY
	}
	return proto.Connection_SSH
}

// appName names the apps that have no type of their own.
func appName(kind string) string {
	if connectionType(kind) == proto.Connection_SSH && kind != "ssh" {
		return kind
	}
	return ""
}

func addressOf(remote string) string {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	return addr.Addr().String()
}

// sessionCounts are the sessions by type, in the words of the protocol.
func sessionCounts(s host.State) *proto.Stats {
	stats := &proto.Stats{
		ConnectionMedianLatencyMs:   -1e-3, // unknown, as existing agents say it
		ConnectionCount:             int64(s.Connections + s.Viewers),
		SessionCountReconnectingPty: int64(s.Viewers),
		SessionCounts:               map[string]int64{},
	}
	if s.Viewers > 0 {
		stats.SessionCounts[host.TypeTerminal] = int64(s.Viewers)
	}
	for kind, n := range s.Sessions {
		stats.SessionCounts[strings.ToLower(kind)] += int64(n)
		switch connectionType(kind) {
		case proto.Connection_VSCODE:
			stats.SessionCountVscode += int64(n)
		case proto.Connection_JETBRAINS:
			stats.SessionCountJetbrains += int64(n)
		case proto.Connection_RECONNECTING_PTY:
			stats.SessionCountReconnectingPty += int64(n)
		default:
			stats.SessionCountSsh += int64(n)
		}
	}
	return stats
}
