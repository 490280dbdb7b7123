package derp

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

func TestUnknownKeyIsRefused(t *testing.T) {
	errUnknown := errors.New("unknown")
	good := key.NewNode()
	var asked int
	s := newSite(t, Config{Admit: func(_ context.Context, k key.NodePublic, from netip.AddrPort) error {
		if asked++; from.Addr() != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("Admit from %v, want 127.0.0.1", from)
		}
		if k != good.Public() {
			return errUnknown
		}
		return nil
	}})
	up(t, s.dialTLS(t, good))
	stranger := s.dialHTTP(t, key.NewNode())
	if m, err := stranger.Recv(); err == nil {
		t.Errorf("Recv of an unknown key = %T, want an error", m)
	}
	if got := s.relay.Stats(); got.Refused != 1 || got.Accepted != 1 || asked != 2 {
		t.Errorf("refused %d, accepted %d, asked %d; want 1, 1, 2", got.Refused, got.Accepted, asked)
	}
}

func TestKeyIsAdmittedAsSoonAsItIsKnown(t *testing.T) {
	announced, asked := make(chan struct{}), make(chan struct{})
	s := newSite(t, Config{Admit: func(ctx context.Context, _ key.NodePublic, _ netip.AddrPort) error {
		close(asked)
		select {
		case <-announced:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	c := s.dialTLS(t, key.NewNode())
	info := make(chan error, 1)
	go func() {
		_, err := c.Recv()
		info <- err
	}()
	<-asked
	select {
	case err := <-info:
		t.Fatalf("client was answered before its key was known: %v", err)
	default:
	}
	close(announced)
	select {
	case err := <-info:
		if err != nil {
			t.Errorf("Recv after the announcement = %v", err)
		}
	case <-time.After(patience):
		t.Error("client was not admitted after its key was announced")
	}
}

func TestKeyMustBeHeld(t *testing.T) {
	s := newSite(t, Config{Admit: func(context.Context, key.NodePublic, netip.AddrPort) error {
		t.Error("Admit was asked about a key that the client does not hold")
		return nil
	}})
	nc := s.upgrade(t)
	header := []byte{byte(derp.FrameClientInfo), 0, 0, 0, 100}
	if _, err := nc.Write(append(header, make([]byte, 100)...)); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, nc)
	if got := s.relay.Stats(); got.Garbage != 1 || got.Clients != 0 {
		t.Errorf("Stats = %+v, want garbage 1, no clients", got)
	}
}

func TestConnectionsOfOneKeyAreBounded(t *testing.T) {
	s := newSite(t, Config{})
	k := key.NewNode()
	for range maxConnsPerKey {
		up(t, s.dialHTTP(t, k))
	}
	if _, err := s.dialHTTP(t, k).Recv(); err == nil {
		t.Errorf("connection %d with one key was admitted, want it refused", maxConnsPerKey+1)
	}
}

func TestMeshKeyOpensTheMesh(t *testing.T) {
	mesh := strings.Repeat("ab", 32)
	refuse := func(context.Context, key.NodePublic, netip.AddrPort) error { return errors.New("unknown") }
	s := newSite(t, Config{MeshKey: mesh, Admit: refuse})
	for name, tt := range map[string]struct {
		key string
		ok  bool
	}{"right": {mesh, true}, "wrong": {strings.Repeat("ac", 32), false}} {
		c := s.dialHTTP(t, key.NewNode())
		var err error
		if c.MeshKey, err = key.ParseDERPMesh(tt.key); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Recv(); (err == nil) != tt.ok {
			t.Errorf("relay with the %s mesh key: Recv = %v, want admitted: %t", name, err, tt.ok)
		}
	}
	if _, err := New(Config{MeshKey: "short"}); err == nil {
		t.Error("New with a short mesh key = nil error")
	}
}
