package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/derp"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// Limits on one connection of the main listener.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second // headers and body
	answerTimeout     = time.Minute      // streams and downloads set their own
	idleTimeout       = 2 * time.Minute
	maxHeader         = 64 << 10 // bytes

	// stopTimeout is how long requests may take to end when the server stops.
	stopTimeout = 5 * time.Second
)

// Server is a deployment's server. Make one with New, then call Run.
type Server struct {
	cfg          Config
	log          *slog.Logger
	began        time.Time
	access       *url.URL
	org          store.Organization // the default one, to which all belong
	deploymentID uuid.UUID

	parts
	live
}

// parts are what the server is made of.
type parts struct {
	listening   listeners
	store       *store.Store
	auth        *auth.Authenticator
	coordinator *coordinator.Coordinator
	relay       *derp.Relay
	maps        *coordinator.Maps
	resume      *coordinator.ResumeTokens
	binaries    *binaries
	muxes       muxes
	dialer      *dialer
	closeOnce   sync.Once
	closeErr    error
}

// live is what the server remembers of who is there now.
type live struct {
	events    events // whatever users see of workspaces and agents
	builds    events // workspaces that have a new build
	streams   streams
	sessions  agentSessions
	deadlines events // of uuid.Nil: there are other deadlines, or other starts
	metadata  events // agents whose metadata has changed
	volatile  agentLive
	limits    limiter
	pulse     pulse
}

// New opens the sockets, then the database, and makes everything ready. From
// its return on connections wait for Run. Errors: a configuration that Check
// refuses; an address that is taken, which the error names; a
// *store.LockedError for a data directory that another server uses. Call Run
// or Close.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	l, err := listen(cfg.HTTPAddress, cfg.RelayAddress)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger, began: time.Now().UTC(), access: cfg.accessURL(addrPort(l.http.Addr())),
		parts: parts{listening: l, muxes: newMuxes()}, live: live{limits: limiter{off: cfg.NoRateLimits}},
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if cfg.AccessURL == nil {
		s.log.Info("no access URL given, using the address of the listener", "url", s.access.String())
	}
	return s, nil
}

// open opens the database and makes the parts that need it.
func (s *Server) open(ctx context.Context) (err error) {
	if s.store, err = store.Open(ctx, s.cfg.storeConfig()); err != nil {
		return err
	}
	if s.alone() {
		// A server that was killed left its agents as connected.
		if _, err := s.store.DisconnectAgents(ctx, time.Now()); err != nil {
			return fmt.Errorf("end sessions of agents: %w", err)
		}
	}
	if s.org, err = s.store.DefaultOrganization(ctx); err != nil {
		return fmt.Errorf("read default organization: %w", err)
	}
	if s.deploymentID, err = s.store.DeploymentID(ctx); err != nil {
		return fmt.Errorf("read deployment id: %w", err)
	}
	s.auth = auth.New(s.store, auth.Config{Logger: s.log})
	s.binaries = newBinaries(s.cfg.BinDir, s.cacheDir())
	s.coordinator = coordinator.New(coordinator.Config{Logger: s.log, KeyWait: s.cfg.keyWait})
	if s.resume, err = s.resumeTokens(ctx); err != nil {
		return err
	}
	if err := s.openRelay(ctx); err != nil {
		return err
	}
	s.dialer = &dialer{
		access: s.listening.own(), maps: s.maps, coordinator: s.coordinator,
		blockDirect: s.cfg.BlockDirect, log: s.log, mux: s.muxes.client,
	}
	return nil
}

// alone reports whether no other server can use the database.
func (s *Server) alone() bool { return s.cfg.PostgresURL == "" }

func (s *Server) cacheDir() string {
	if s.cfg.DataDir == "" {
		return ""
	}
	return filepath.Join(s.cfg.DataDir, "cache")
}

func (s *Server) resumeTokens(ctx context.Context) (*coordinator.ResumeTokens, error) {
	secret, err := s.store.DeploymentValue(ctx, "resume_token_key", func() ([]byte, error) {
		secret := make([]byte, 32)
		_, err := rand.Read(secret)
		return secret, err
	})
	if err != nil {
		return nil, fmt.Errorf("read key of resume tokens: %w", err)
	}
	sum := sha256.Sum256(secret)
	return coordinator.NewResumeTokens(coordinator.ResumeKey{ID: hex.EncodeToString(sum[:4]), Secret: secret})
}

// openRelay makes the relay under the keys of the deployment, which clients
// pin, and the map that leads to it.
func (s *Server) openRelay(ctx context.Context) error {
	text, err := s.store.DeploymentValue(ctx, "relay_keys", func() ([]byte, error) {
		keys, err := derp.GenerateKeys()
		if err != nil {
			return nil, err
		}
		return keys.MarshalText()
	})
	if err != nil {
		return fmt.Errorf("read keys of relay: %w", err)
	}
	keys := new(derp.Keys)
	if err := keys.UnmarshalText(text); err != nil {
		return err
	}
	m, err := derp.Map(derp.MapConfig{
		AccessURL: s.access, CertName: keys.CertName(), STUNPort: s.listening.stunPort(), BlockDirect: s.cfg.BlockDirect,
	})
	if err != nil {
		return err
	}
	s.maps = coordinator.NewMaps(m)
	s.relay, err = derp.New(derp.Config{
		Keys: keys, Logger: s.log,
		Admit: func(ctx context.Context, node key.NodePublic, _ netip.AddrPort) error {
			return s.coordinator.KnownKey(ctx, node)
		},
	})
	return err
}

// URL is the access URL.
func (s *Server) URL() *url.URL { return s.access }

// Addr is the address of the main listener.
func (s *Server) Addr() net.Addr { return s.listening.http.Addr() }

// Run serves until ctx ends, which is no error, or a listener fails, and then
// stops everything. When it returns nothing of the server runs any more.
func (s *Server) Run(ctx context.Context) error {
	split := derp.NewSplit(s.listening.http)
	main := &http.Server{
		Handler:           s.routes(s.relay.Handler()),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	g, ctx := errgroup.WithContext(ctx)
	serve := func(what string, fn func() error) {
		g.Go(func() error {
			if err := fn(); ctx.Err() == nil { // else we ended it
				return fmt.Errorf("serve %s: %w", what, err)
			}
			return nil
		})
	}
	serve("http", func() error { return main.Serve(split.Plain()) })
	serve("relay", func() error { return s.relay.ServeTLS(split.TLS()) })
	if s.listening.relay != nil {
		serve("relay", func() error { return s.relay.ServeTLS(s.listening.relay) })
		serve("STUN", func() error { return s.relay.ServeSTUN(s.listening.stun) })
	}
	g.Go(func() error {
		s.cleanUp(ctx)
		return nil
	})
	g.Go(func() error {
		s.inTime(ctx, s.stops())
		return nil
	})
	g.Go(func() error {
		s.inTime(ctx, s.starts())
		return nil
	})
	g.Go(func() error {
		s.pulse.run(ctx)
		return nil
	})
	s.log.Info("server started", "url", s.access.String(), "address", s.Addr().String(), "relay", s.listening.relayTCP)
	<-ctx.Done()
	err := s.stop(main, split)
	err = errors.Join(g.Wait(), err)
	if err != nil {
		return err
	}
	s.log.Info("server stopped")
	return nil
}

// stop ends what Run serves, in this order:
//
//  1. no new connections
//  2. streams: WebSockets are closed with 1001 (going away), so that agents
//     and clients come back at once; no new ones
//  3. requests may end, for 5 s
//  4. the rest: see Close
func (s *Server) stop(main *http.Server, split *derp.Split) error {
	err := split.Close()
	s.streams.stop()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if main.Shutdown(ctx) != nil {
		err = errors.Join(err, main.Close()) // drops the requests that take longer
	}
	return errors.Join(err, s.Close())
}

// Close ends the parts, in this order:
//
//  1. the server's own connections to agents
//  2. the coordinator, which tells peers that it stops
//  3. the relay, which closes its connections
//  4. sessions of agents are written down as ended
//  5. the database, which releases its lock
//  6. listeners that were never served
//
// Run does it; who calls New without Run must. It may be called twice.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.closeParts() })
	return s.closeErr
}

func (s *Server) closeParts() (err error) {
	if s.dialer != nil {
		err = s.dialer.close()
	}
	if s.coordinator != nil {
		err = errors.Join(err, s.coordinator.Close())
	}
	if s.relay != nil {
		err = errors.Join(err, s.relay.Close())
	}
	if s.store != nil {
		err = errors.Join(err, s.endSessions(), s.store.Close())
	}
	return errors.Join(err, ignoreClosed(s.listening.close()))
}

func (s *Server) endSessions() error {
	if !s.alone() {
		return nil // each has written its own end
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_, err := s.store.DisconnectAgents(ctx, time.Now())
	return err
}

// ignoreClosed drops an error that joins nothing but closing twice.
func ignoreClosed(err error) error {
	joined, many := err.(interface{ Unwrap() []error })
	if !many {
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		return err
	}
	var rest error
	for _, e := range joined.Unwrap() {
		rest = errors.Join(rest, ignoreClosed(e))
	}
	return rest
}
