//go:build linux

package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// Limits that users were promised. A silence is the longest time in which
// nothing comes back of a stream of numbers in an open shell.
const (
	afterRelay  = 3 * time.Second // a relay is back
	afterServer = 5 * time.Second // a server is back: a new connection works
	afterHeal   = 2 * time.Second // a cut network is whole again
	afterMove   = 5 * time.Second // an address has changed
	whileDirect = time.Second     // a server or relay is away that is not in the way
	afterBlock  = 3 * time.Second // the relay is cut off: the other side may have learnt of the direct path just now
)

func direct(t *testing.T) (*place, *Shell) {
	t.Helper()
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	shell := p.user.Shell("ws")
	shell.MustBecome(Direct, directSoon)
	shell.MustGoOn(time.Second, whileDirect) // the workspace has found the path too
	return p, shell
}

func relayed(t *testing.T) (*place, *Shell) {
	t.Helper()
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	p.client.Block(netlab.Filter{Proto: "udp"})
	shell := p.user.Shell("ws")
	shell.MustBecome(Relay, directSoon)
	return p, shell
}

// passes lets an outage last: it is no event that could be waited for.
func passes(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func TestRelayBlockedAfterContactStaysUp(t *testing.T) {
	p, shell := direct(t)
	shell.Silence()
	p.client.Block(netlab.Filter{Addr: p.server.Host.Addr()})
	shell.MustGoOn(15*time.Second, afterBlock)
	t.Logf("longest silence: %v", shell.Silence())
	if got := shell.Path(); got != Direct {
		t.Errorf("path of the open shell = %q, want %q", got, Direct)
	}
}

func TestServerKilledShellGoesOn(t *testing.T) {
	t.Parallel()
	t.Run("direct", func(t *testing.T) {
		p, shell := direct(t)
		shell.Silence()
		p.server.Kill9()
		shell.MustGoOn(10*time.Second, whileDirect)
		p.server.Restart()
		newSessionWorks(t, p)
		shell.MustGoOn(5*time.Second, whileDirect)
		t.Logf("longest silence: %v", shell.Silence())
	})
	t.Run("relayed", func(t *testing.T) {
		p, shell := relayed(t)
		p.server.Kill9()
		p.server.Restart()
		back := time.Now()
		t.Logf("open shell answers %v after the restart", shell.MustAwait(afterRelay))
		newSessionBy(t, p, back.Add(afterServer))
		shell.MustGoOn(3*time.Second, whileDirect)
	})
	t.Run("relayed, away for long", func(t *testing.T) {
		p, shell := relayed(t)
		p.server.Kill9()
		passes(t, 20*time.Second)
		p.server.Restart()
		back := time.Now()
		t.Logf("open shell answers %v after the restart", shell.MustAwait(afterRelay))
		newSessionBy(t, p, back.Add(afterServer))
	})
}

// TestRelayRestarts stops it as an administrator does.
func TestRelayRestarts(t *testing.T) {
	p, shell := relayed(t)
	for range 3 {
		mustStop(t, p.server.Proc)
		p.server.Restart()
		t.Logf("open shell answers %v after the relay's restart", shell.MustAwait(afterRelay))
		shell.MustGoOn(2*time.Second, whileDirect)
	}
}

func mustStop(t *testing.T, p *netlab.Proc) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(within(t, 10*time.Second)); err != nil {
		t.Errorf("end after SIGTERM = %v, want exit status 0", err)
	}
}

// newSessionWorks is what the issue promises right after a restart.
func newSessionWorks(t *testing.T, p *place) {
	t.Helper()
	newSessionBy(t, p, time.Now().Add(afterServer))
}

func newSessionBy(t *testing.T, p *place, deadline time.Time) {
	t.Helper()
	began := time.Now()
	r := p.user.Run(within(t, time.Until(deadline)), "ssh", "--verbose", "ws", "--", "echo", "new")
	if r.Code != 0 || r.Stdout != "new\n" {
		t.Fatalf("coder ssh within %v of the restart = %+v, want %q", afterServer, r, "new\n")
	}
	t.Logf("a new session took %v", time.Since(began))
}

func TestAddressChanges(t *testing.T) {
	t.Parallel()
	cafe := func(p *place) *netlab.Router { return p.Router("cafe", netlab.EasyNAT) }
	for _, test := range []struct {
		name   string
		begin  func(*testing.T) (*place, *Shell)
		change func(*place)
		then   Path
	}{
		{"direct, client gets another address", direct, func(p *place) { p.client.Readdress() }, Direct},
		{"direct, client moves to another network", direct, func(p *place) { p.client.MoveTo(cafe(p)) }, Direct},
		{"direct, workspace moves to another network", direct, func(p *place) { p.box.MoveTo(cafe(p)) }, Direct},
		{"direct, provider readdresses the client", direct, func(p *place) { p.home.Readdress() }, Direct},
		{"direct, NAT of the client restarts", direct, func(p *place) { p.home.Forget() }, Direct},
		{"relayed, client moves to another network", relayed, func(p *place) { p.client.MoveTo(cafe(p)) }, Relay},
		{"relayed, workspace moves to another network", relayed, func(p *place) { p.box.MoveTo(cafe(p)) }, Relay},
		{"relayed, provider readdresses the client", relayed, func(p *place) { p.home.Readdress() }, Relay},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, shell := test.begin(t)
			shell.Silence()
			test.change(p)
			shell.MustAwait(afterMove)
			shell.MustGoOn(2*time.Second, whileDirect)
			silence := shell.Silence()
			t.Logf("longest silence: %v", silence)
			if silence > afterMove {
				t.Errorf("silence = %v, want at most %v", silence, afterMove)
			}
			t.Logf("%s after another %v", test.then, shell.MustBecome(test.then, 2*directSoon))
		})
	}
}

// TestPartitionHeals cuts the network for longer than TCP and NATs keep what
// is not used.
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*testing.T) (*place, *Shell){"direct": direct, "relayed": relayed} {
		t.Run(name, func(t *testing.T) {
			p, shell := begin(t)
			link := p.client.Link()
			link.Set(netlab.Conditions{Down: true})
			passes(t, 65*time.Second)
			link.Set(netlab.Conditions{})
			t.Logf("open shell answers %v after the end of the partition", shell.MustAwait(afterHeal))
			shell.MustGoOn(2*time.Second, whileDirect)
			newSessionWorks(t, p)
		})
	}
}

// afterWake is how long a shell may need after its laptop slept.
const afterWake = 3 * time.Second

// TestLaptopSleeps stops coder ssh for longer than NATs and the server remember
// it, as sleep does, and lets it go on where it was or in another network.
func TestLaptopSleeps(t *testing.T) {
	t.Parallel()
	const sleep = 45 * time.Second // a UDP mapping of these NATs lives for 30 s
	for _, test := range []struct {
		name  string
		begin func(*testing.T) (*place, *Shell)
		wake  func(*place)
	}{
		{"direct, wakes where it was", direct, func(*place) {}},
		{"direct, wakes in another network", direct, func(p *place) { p.client.MoveTo(p.Router("cafe", netlab.EasyNAT)) }},
		{"relayed, wakes where it was", relayed, func(*place) {}},
		{"relayed, wakes with another address", relayed, func(p *place) { p.client.Readdress() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, shell := test.begin(t)
			if err := shell.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			passes(t, sleep)
			test.wake(p)
			if err := shell.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			t.Logf("the shell answers %v after the laptop woke", shell.MustAwait(afterWake))
			shell.MustGoOn(3*time.Second, whileDirect)
		})
	}
}
