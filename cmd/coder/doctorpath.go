package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/connect/diagnose"
	"github.com/berthdev/berth/connect/speedtest"
	"github.com/berthdev/berth/connect/sshclient"
)

const (
	// directPatience is how long a direct path is looked for: it usually is there
	// within two seconds.
	directPatience = 4 * time.Second
	// widthPatience is how long it may take until the node knows whether large
	// packets pass.
	widthPatience = 4500 * time.Millisecond
	// carryTime is how long large packets are sent each way, and carryPatience how
	// long that may take: the node at the other end finds out by itself whether its
	// direct path carries them, which may take it three seconds.
	carryTime     = 100 * time.Millisecond
	carryPatience = 3500 * time.Millisecond
)

// reach asks the agent itself for a sign of life.
func (o *doctor) reach(g *globals) diagnose.Step {
	return func(ctx context.Context) (f diagnose.Finding) {
		f = diagnose.Finding{What: "path", Hint: "the agent is connected to the server, but not to the relay: on its machine, coder agent --check says why"}
		o.conn = connect.Open(connect.Config{Client: o.client, BlockDirect: g.disableDirect, Logger: g.logger()})
		if f.Err = o.conn.Reach(ctx, o.agent.ID); f.Err != nil {
			return f
		}
		pong, err := o.conn.Ping(ctx)
		switch {
		case err != nil && !o.conn.RelayConnected():
			f.Err = errors.New("no relay is reached, through which every connection begins")
			f.Hint = "let this machine reach the relay (TCP, by default the server's own port), or have the proxy in front pass /derp on"
			return f
		case err != nil:
			f.Err = fmt.Errorf("the agent does not answer: %w", err)
			return f
		}
		f.Text = fmt.Sprintf("answers %s in %s", via(pong, o.conn), millis(pong.Latency))
		return f
	}
}

// direct waits for a direct path.
func (o *doctor) direct(ctx context.Context) diagnose.Finding {
	ctx, cancel := context.WithTimeout(ctx, directPatience)
	defer cancel()
	f := diagnose.Finding{What: "direct", Mild: true}
	for {
		if pong, err := o.conn.Ping(ctx); err == nil && pong.Direct {
			o.isDirect = true
			f.Text = fmt.Sprintf("%s in %s", pong.Endpoint, millis(pong.Latency))
			return f
		}
		if !pause(ctx, directAgain) {
			f.Hint, f.Err = o.notDirect()
			return f
		}
	}
}

// notDirect says why there is no direct path.
func (o *doctor) notDirect() (hint string, why error) {
	switch {
	case o.info.DisableDirectConnections:
		return "all goes through the relay; that is for its administrator to change", errors.New("the server allows no direct connections")
	case o.noUDP:
		return "open UDP, at least to the workspace and to port 3478 of the server; until then all goes through the relay", errors.New("this network lets no UDP out")
	case !slices.ContainsFunc(o.conn.AgentEndpoints(), isPublic):
		return "open UDP there, at least to port 3478 of the server; until then all goes through the relay", errors.New("the workspace's network lets no UDP out")
	}
	return "let one side have a public address, or its router map ports by endpoint (\"full cone\"); until then all goes through the relay",
		errors.New("UDP works on both sides, but not between them: both are behind hard NATs, which give each connection a port of its own, or behind firewalls")
}

// isPublic reports whether an endpoint is one that a STUN server saw, and not an
// address of a private network.
func isPublic(e netip.AddrPort) bool {
	a := e.Addr().Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

// carries sends large packets both ways. A network on the way that drops them
// without saying so lets small ones pass, as those of the steps before.
func (o *doctor) carries(ctx context.Context) diagnose.Finding {
	f := diagnose.Finding{What: "packets", Text: "large ones pass"}
	for _, direction := range []speedtest.Direction{speedtest.Download, speedtest.Upload} {
		err := o.carry(ctx, direction)
		if err != nil && !errors.Is(err, errNotCarried) {
			return diagnose.Finding{} // an agent that makes no such tests, or makes them for others just now
		}
		if err != nil {
			f.Err = fmt.Errorf("large packets do not arrive, though small ones do: %w", err)
			f.Hint = narrowHint
			return f
		}
	}
	return f
}

const narrowHint = "a network on the way drops UDP packets of more than 1200 bytes without telling: mend the MTU of its tunnel"

// width waits until the node knows whether its direct path carries large packets,
// and says if it does not.
func (o *doctor) width(ctx context.Context) diagnose.Finding {
	if !o.isDirect || !o.isNarrow(ctx) {
		return diagnose.Finding{}
	}
	return diagnose.Finding{
		What: "packets", Mild: true, Hint: narrowHint,
		Err: errors.New("the direct path drops large packets: they go through the relay, which is slower"),
	}
}

func (o *doctor) isNarrow(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, widthPatience)
	defer cancel()
	for {
		path := o.conn.Path()
		if path.Packet != 0 || !pause(ctx, directAgain) {
			return path.Narrow
		}
		_, _ = o.conn.Ping(ctx) // keeps the path in use
	}
}

// errNotCarried is that of a test which began and carried nothing.
var errNotCarried = errors.New("nothing came")

func (o *doctor) carry(ctx context.Context, direction speedtest.Direction) error {
	ctx, cancel := context.WithTimeout(ctx, carryPatience)
	defer cancel()
	stream, err := o.conn.DialTCP(ctx, speedtestPort)
	if err != nil {
		return err
	}
	r, err := speedtest.Run(ctx, stream, direction, carryTime)
	if errors.Is(err, context.DeadlineExceeded) || err == nil && r.Overall.Bytes == 0 {
		return errNotCarried
	}
	return err
}

// disk looks for disks of the workspace that are full, by a login.
func (o *doctor) disk(ctx context.Context) diagnose.Finding {
	f := diagnose.Finding{What: "disk", Hint: "coder ssh " + o.target.String() + " and remove what is not needed: most programs do not start on a full disk"}
	text, err := o.command(ctx, "df -Pk ~ /tmp /")
	if err != nil {
		f.Err, f.Hint = fmt.Errorf("log in: %w", err), "coder ssh -v "+o.target.String()+" shows more"
		return f
	}
	full, most := fullDisks(text)
	f.Text = fmt.Sprintf("the fullest has %s in use", most)
	if len(full) > 0 {
		f.Err = fmt.Errorf("full: %s", strings.Join(full, ", "))
	}
	return f
}

// command runs a command in the workspace and returns its output.
func (o *doctor) command(ctx context.Context, text string) (string, error) {
	stream, err := o.conn.LastingSSH(ctx)
	if errors.Is(err, connect.ErrRefused) {
		stream, err = o.conn.SSH(ctx)
	}
	if err != nil {
		return "", err
	}
	s, err := sshclient.Open(ctx, stream, sshclient.Request{Command: text})
	if err != nil {
		return "", err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	go func() { _, _ = s.Stderr.WriteTo(io.Discard) }() // ends with the session
	var out bytes.Buffer
	if _, err := s.Stdout.WriteTo(&out); err != nil {
		return "", err
	}
	return out.String(), nil
}

// fullDisks reads what df -P prints: the mount points of file systems without
// room, and how full the fullest is.
func fullDisks(text string) (full []string, most string) {
	most = "0%"
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasSuffix(fields[4], "%") {
			continue
		}
		if len(fields[4]) > len(most) || len(fields[4]) == len(most) && fields[4] > most {
			most = fields[4]
		}
		if fields[3] == "0" && !slices.Contains(full, fields[5]) {
			full = append(full, fields[5])
		}
	}
	return full, most
}
