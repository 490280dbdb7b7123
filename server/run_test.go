package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/server/store"
)

func TestTakenAddressIsNamedBeforeAnythingElse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	takenUDP, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer takenUDP.Close()
	for what, cfg := range map[string]Config{
		taken.Addr().String() + " (http)":   {HTTPAddress: taken.Addr().String(), RelayAddress: "127.0.0.1:0"},
		taken.Addr().String() + " (relay)":  {HTTPAddress: "127.0.0.1:0", RelayAddress: taken.Addr().String()},
		takenUDP.LocalAddr().String() + " ": {HTTPAddress: "127.0.0.1:0", RelayAddress: takenUDP.LocalAddr().String()},
	} {
		// A path that cannot be made shows that nobody tried.
		cfg.DataDir = "/dev/null/data"
		_, err := New(t.Context(), cfg)
		address, _, _ := strings.Cut(what, " ")
		if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("New with %s taken = %v, want an error that names it", what, err)
		}
	}
}

func TestSecondServerOnOneDataDirectory(t *testing.T) {
	d := start(t, Config{})
	_, err := New(t.Context(), Config{HTTPAddress: "127.0.0.1:0", DataDir: d.cfg.DataDir})
	var locked *store.LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("New on a data directory in use = %v, want a LockedError", err)
	}
}

func TestNewWithoutRun(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second one finds everything released
		s, err := New(t.Context(), Config{HTTPAddress: "127.0.0.1:0", RelayAddress: "127.0.0.1:0", DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func TestCheck(t *testing.T) {
	for want, cfg := range map[string]Config{
		"http address":     {HTTPAddress: "nowhere", DataDir: "x"},
		"want a port":      {HTTPAddress: "127.0.0.1:seven", DataDir: "x"},
		"relay address":    {RelayAddress: "127.0.0.1:99999", DataDir: "x"},
		"an address of":    {HTTPAddress: "example.com:80", DataDir: "x"},
		"access URL":       {AccessURL: &url.URL{Scheme: "http", Host: "a", Path: "/sub"}, DataDir: "x"},
		"session duration": {SessionDuration: time.Second, DataDir: "x"},
		"neither a data":   {},
	} {
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check(%+v) = %v, want an error with %q", cfg, err, want)
		}
	}
	for _, cfg := range []Config{
		{DataDir: "x"}, {PostgresURL: "postgres://h/d"}, {HTTPAddress: ":80", RelayAddress: "[::]:3478", DataDir: "x"}, {HTTPAddress: "localhost:0", DataDir: "x"},
	} {
		if err := cfg.Check(); err != nil {
			t.Errorf("Check(%+v) = %v", cfg, err)
		}
	}
}

func TestDefaultAccessURL(t *testing.T) {
	for listening, want := range map[string]string{
		"127.0.0.1:7080": "http://127.0.0.1:7080",
		"[::1]:7080":     "http://[::1]:7080",
		"192.0.2.7:80":   "http://192.0.2.7:80",
		"0.0.0.0:7080":   fmt.Sprintf("http://%s", netip.AddrPortFrom(localAddress(netip.IPv4Unspecified()), 7080)),
	} {
		if got := (Config{}).accessURL(netip.MustParseAddrPort(listening)).String(); got != want {
			t.Errorf("access URL when listening on %s = %s, want %s", listening, got, want)
		}
	}
	given := Config{AccessURL: mustURL(t, "https://berth.example.com/")}
	if got := given.accessURL(netip.MustParseAddrPort("0.0.0.0:80")).String(); got != "https://berth.example.com" {
		t.Errorf("access URL = %s, want the one given", got)
	}
}
