package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/berthdev/berth/connect/resume"
	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/netstack"
)

// sshPort is where agents serve SSH to their clients.
const sshPort = 1

const (
	// dialAgainAfter is how long a connection may take over a path that works
	// before another is begun beside it: TCP itself waits a second for a lost
	// first packet.
	dialAgainAfter = 300 * time.Millisecond

	// maxDials bounds the connections that are begun for one.
	maxDials = 3
)

// SSH connects to the agent's SSH server.
func (c *Conn) SSH(ctx context.Context) (net.Conn, error) { return c.DialTCP(ctx, sshPort) }

// LastingSSH connects to the SSH server of an agent of ours over a stream that
// outlives connections, nodes and the agent's network half: it is lost only
// with the process that holds the session, or after resume.Keep without the
// agent. Agents of other makes refuse it: ErrRefused.
func (c *Conn) LastingSSH(ctx context.Context) (net.Conn, error) {
	return c.lasting(ctx, resume.ServiceSSH)
}

func (c *Conn) lasting(ctx context.Context, service byte) (net.Conn, error) {
	return resume.Dial(ctx, resume.Config{
		Open: c.openLasting, Service: service, Log: c.log,
	})
}

// openLasting connects to where the agent keeps streams; resume.ErrOver once the
// user is shut out.
func (c *Conn) openLasting(ctx context.Context) (net.Conn, error) {
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watching.Go(func() {
		select {
		case <-c.barred:
			cancel()
		case <-ctx.Done():
		}
	})
	conn, err := c.DialTCP(ctx, resume.Port)
	select {
	case <-c.barred:
		if err == nil {
			_ = conn.Close()
		}
		return nil, fmt.Errorf("%w: %w", resume.ErrOver, c.barredBy)
	default:
		return conn, err
	}
}

// ErrRefused says that nobody listens on a port of the agent.
const ErrRefused = netstack.ErrRefused

// abortPause is the time between two tries to reach an agent that went away
// meanwhile: less than the start of one takes.
const abortPause = 20 * time.Millisecond

// DialTCP connects to a port of the agent. It waits for the agent to be there,
// or to come back if it is just being restarted, until ctx ends. The connection
// outlives ctx.
func (c *Conn) DialTCP(ctx context.Context, port uint16) (net.Conn, error) {
	if err := c.awaitAgent(ctx); err != nil {
		return nil, err
	}
	return DialTCP(ctx, c.node, netip.AddrPortFrom(c.addr, port))
}

// DialUDP makes a conversation with a port of the agent, once there is a way to
// it; that somebody listens there is not known. It outlives ctx.
func (c *Conn) DialUDP(ctx context.Context, port uint16) (net.Conn, error) {
	if err := c.awaitAgent(ctx); err != nil {
		return nil, err
	}
	if err := c.node.AwaitReachable(ctx, c.addr); err != nil {
		return nil, fmt.Errorf("wait for the agent: %w", err)
	}
	return c.node.DialUDP(ctx, netip.AddrPortFrom(c.addr, port))
}

// DialTCP connects to a port of a peer that node knows. It waits for the peer
// to come back if it is just being restarted, until ctx ends. The connection
// outlives ctx.
func DialTCP(ctx context.Context, node *tailnet.Node, addr netip.AddrPort) (net.Conn, error) {
	for {
		conn, err := dialTCP(ctx, node, addr)
		if !errors.Is(err, netstack.ErrAborted) {
			return conn, err
		}
		select {
		case <-time.After(abortPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the agent: %w", ctx.Err())
		}
	}
}

func dialTCP(ctx context.Context, node *tailnet.Node, addr netip.AddrPort) (net.Conn, error) {
	d := &dials{results: make(chan result[net.Conn], maxDials), reached: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	defer d.finish()
	defer cancel()
	d.tasks.Go(func() {
		defer close(d.reached)
		// Its pings also repeat a WireGuard handshake that was lost. An error
		// is that of ctx, which the dials report.
		_ = node.AwaitReachable(ctx, addr.Addr())
	})
	return d.race(func() (net.Conn, error) { return node.DialTCP(ctx, addr) })
}

// dials are several tries for one connection.
type dials struct {
	tasks   sync.WaitGroup
	results chan result[net.Conn]
	reached chan struct{} // closed when the path works, or never will
}

// race begins a dial, and others beside it when it is slow over a path that
// works, and returns the first connection.
func (d *dials) race(dial func() (net.Conn, error)) (net.Conn, error) {
	begin := func() {
		d.tasks.Go(func() {
			conn, err := dial()
			d.results <- result[net.Conn]{conn, err}
		})
	}
	begin()
	reached, begun, ended := d.reached, 1, 0
	var again <-chan time.Time
	for {
		select {
		case <-reached:
			reached = nil
			again = time.After(dialAgainAfter)
		case <-again:
			if again = nil; begun < maxDials {
				begun++
				begin()
				again = time.After(dialAgainAfter << begun)
			}
		case r := <-d.results:
			if ended++; r.err == nil || ended == begun {
				return r.value, r.err
			}
		}
	}
}

// finish waits for the dials that lost, whose context has ended, and closes
// what came of them.
func (d *dials) finish() {
	d.tasks.Wait()
	close(d.results)
	for r := range d.results {
		if r.value != nil {
			r.value.Close()
		}
	}
}

// awaitAgent waits until the agent's record is known.
func (c *Conn) awaitAgent(ctx context.Context) error {
	select {
	case <-c.programmed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the agent: %w", ctx.Err())
	}
}

// Known returns a channel that is closed when the agent has come to the
// tailnet.
func (c *Conn) Known() <-chan struct{} { return c.programmed }

// Ping measures the present path to the agent until ctx ends, and makes both
// sides look for a better one. It waits for the agent to be there.
func (c *Conn) Ping(ctx context.Context) (tailnet.PingResult, error) {
	if err := c.awaitAgent(ctx); err != nil {
		return tailnet.PingResult{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var pings sync.WaitGroup
	defer pings.Wait()
	defer cancel()
	answers := make(chan result[tailnet.PingResult], 2)
	ping := func() {
		pong, err := c.node.Ping(ctx, c.addr)
		answers <- result[tailnet.PingResult]{pong, err}
	}
	pings.Go(ping)
	pings.Go(func() {
		// Only what goes through the tunnel makes the agent call us, which a
		// way through two NATs needs. And the ping above may have been lost
		// before the relay was reached.
		if c.node.AwaitReachable(ctx, c.addr) == nil {
			ping()
		}
	})
	first := <-answers
	return first.value, first.err
}

// Path tells how packets to the agent went last.
func (c *Conn) Path() tailnet.Path { return c.node.Path(c.addr) }

// RelayConnected reports whether the relay through which every connection begins
// has carried something.
func (c *Conn) RelayConnected() bool { return c.node.RelayConnected() }

const (
	// relayPatience is how long a report waits for the relay: it admits a node when
	// the server has told it of the node.
	relayPatience = 3 * time.Second
	relayLook     = 50 * time.Millisecond
)

// Report measures the network of this machine; see tailnet.Node.Report.
func (c *Conn) Report(ctx context.Context) tailnet.Report {
	patience := time.After(relayPatience)
	for !c.node.RelayConnected() && ctx.Err() == nil {
		select {
		case <-time.After(relayLook): // nothing tells of it
			continue
		case <-patience:
		case <-ctx.Done():
		}
		break
	}
	return c.node.Report(ctx)
}

// AgentEndpoints returns where the agent says that it can be reached over UDP.
func (c *Conn) AgentEndpoints() []netip.AddrPort { return c.node.Endpoints(c.addr) }

// RegionName is the name of a relay region.
func (c *Conn) RegionName(region int) string {
	if r := c.relays.Regions[region]; r != nil {
		return r.RegionName
	}
	return fmt.Sprint(region)
}
