package main

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/connect/forward"
)

// A workspace may be this very machine, as with make demo: what this process
// itself listens on must not be forwarded, or there is no end of it.
func TestAutoLeavesItsOwnPorts(t *testing.T) {
	var out bytes.Buffer
	f := &forwarding{show: &forwardJSON{out: &out}}
	ctx, cancel := context.WithCancel(t.Context())
	defer f.running.Wait()
	defer cancel()
	taken := listening(t, 1) // so that it gets another port here
	port := netip.MustParseAddrPort(taken.Addresses()[0]).Port()
	followed := map[uint16]*forward.Forward{}
	theirs := []connect.ListeningPort{{Process: "node", Port: port}}
	f.apply(ctx, followed, theirs)
	if len(f.all) != 1 {
		t.Fatalf("one port of a program is forwarded %d times:\n%s", len(f.all), &out)
	}
	ours := netip.MustParseAddrPort(f.all[0].Addresses()[0]).Port()
	self := filepath.Base(os.Args[0])
	f.apply(ctx, followed, append(theirs, connect.ListeningPort{Process: self, Port: ours}))
	if len(f.all) != 1 {
		t.Errorf("what we listen on ourselves is forwarded:\n%s", &out)
	}
	f.apply(ctx, followed, append(theirs, connect.ListeningPort{Process: "other", Port: ours}))
	if len(f.all) != 2 || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("another program's port of the same number is not forwarded:\n%s", &out)
	}
}

// A program of our name may listen in the workspace, as where Berth is developed. Its
// port is forwarded to the same one here, and stays so.
func TestAutoKeepsPortsOfOurNamesake(t *testing.T) {
	var out bytes.Buffer
	f := &forwarding{show: &forwardJSON{out: &out}}
	ctx, cancel := context.WithCancel(t.Context())
	defer f.running.Wait()
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(ln.Addr().String()).Port()
	ln.Close()
	theirs := []connect.ListeningPort{{Process: filepath.Base(os.Args[0]), Port: port}}
	followed := map[uint16]*forward.Forward{}
	for range 3 {
		f.apply(ctx, followed, theirs)
		if len(f.all) != 1 || strings.Count(out.String(), "\n") != 1 {
			t.Fatalf("the port is not forwarded once and for all:\n%s", &out)
		}
	}
}
