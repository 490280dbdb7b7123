//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// place is a deployment with one workspace "ws" behind a router of its own,
// and a user behind another.
type place struct {
	*World
	server       *Server
	user         *User
	client, box  *netlab.Host
	home, office *netlab.Router // of client and of box
	agent        *netlab.Proc
}

// newPlace makes a place; args are added to the server's command line.
func newPlace(t *testing.T, home, office netlab.RouterKind, args ...string) *place {
	t.Helper()
	p := &place{World: newWorld(t)}
	p.home, p.office = p.Router("home", home), p.Router("office", office)
	p.client, p.box = p.home.Host("client"), p.office.Host("box")
	p.server = p.Serve(p.Host("server"), args...)
	p.agent = p.server.Agent(p.box, "ws")
	p.user = p.server.User(p.client)
	return p
}

// directSoon is how long a direct path may take to be found.
const directSoon = 10 * time.Second

func TestBehindSeparateNATsBecomesDirect(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	shell := p.user.Shell("ws")
	t.Logf("direct after %v", shell.MustBecome(Direct, directSoon))
	if got := p.user.Ping(within(t, 30*time.Second), "ws", 10); !slices.Contains(got, Direct) {
		t.Errorf("coder ping behind separate NATs = %v, want direct in the end", got)
	}
}

// TestPingIsRelayedFirstThenDirect has a latency between all, as the internet
// has, so that the direct path cannot be found before the first ping.
func TestPingIsRelayedFirstThenDirect(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	for _, r := range []*netlab.Router{p.home, p.office} {
		r.Link().Set(netlab.Conditions{Latency: 10 * time.Millisecond})
	}
	got := p.user.Ping(within(t, 30*time.Second), "ws", 10)
	if got[0] != Relay || got[len(got)-1] != Direct {
		t.Errorf("coder ping = %v, want relay first and direct in the end", got)
	}
}

func TestWithoutUDPOnOneSideIsRelayed(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"client", "workspace"} {
		t.Run(side, func(t *testing.T) {
			p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
			blocked := map[string]*netlab.Host{"client": p.client, "workspace": p.box}[side]
			blocked.Block(netlab.Filter{Proto: "udp"})
			mustStayRelayed(t, p)
		})
	}
}

func TestBehindHardNATsIsRelayed(t *testing.T) {
	mustStayRelayed(t, newPlace(t, netlab.HardNAT, netlab.HardNAT))
}

// mustStayRelayed uses a shell for longer than a direct path takes to be found.
func mustStayRelayed(t *testing.T, p *place) {
	t.Helper()
	shell := p.user.Shell("ws")
	shell.MustGoOn(5*time.Second, 2*time.Second)
	if got := shell.Path(); got != Relay {
		t.Errorf("path of the open shell = %q, want %q", got, Relay)
	}
	if got := p.user.Ping(within(t, 30*time.Second), "ws", 5); slices.Contains(got, Direct) {
		t.Errorf("coder ping = %v, want relay only", got)
	}
}

// narrow drops UDP packets of more bytes between the sites, and says nothing of
// it, as some tunnels of providers do, which care for TCP only.
func (p *place) narrow(t *testing.T, bytes int) {
	t.Helper()
	cmd := p.home.Command(within(t, patience), "iptables", "-I", "FORWARD", "-p", "udp", "-m", "length", "--length", fmt.Sprintf("%d:65535", bytes+1), "-j", "DROP")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// narrowLogin is how long a login may take over a path that drops large packets,
// until they take the relay. It is what users are promised; a login with a megabyte
// takes 1.5 s to 2 s, of which most is waiting for answers that do not come.
const narrowLogin = 3 * time.Second

// TestNarrowPath logs in where small packets find a direct path that drops large
// ones: what is large takes the relay, and nothing stands still.
func TestNarrowPath(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	p.narrow(t, 1300)
	shell := p.user.Shell("ws")
	shell.MustBecome(Direct, directSoon)
	for range 3 {
		began := shell.clock.now()
		if r := p.user.Run(within(t, patience), "ssh", "ws", "--", "head -c 1000000 /dev/zero"); r.Code != 0 || len(r.Stdout) != 1000000 {
			t.Fatalf("a megabyte over a path that drops large packets: exit status %d, %d bytes, %s", r.Code, len(r.Stdout), r.Stderr)
		}
		took := shell.clock.now() - began
		t.Logf("a login with a megabyte took %v", took)
		if took > narrowLogin {
			t.Errorf("a login over a path that drops large packets took %v, want at most %v", took, narrowLogin)
		}
	}
	if got := p.user.Ping(within(t, patience), "ws", 10); !slices.Contains(got, Direct) {
		t.Errorf("coder ping = %v, want that small packets go directly", got)
	}
	shell.MustAwait(patience)
}
