//go:build linux

package host

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/process"
	"github.com/berthdev/berth/agent/pty"
	"github.com/berthdev/berth/agent/script"
	"github.com/berthdev/berth/agent/sshd"
	"github.com/berthdev/berth/connect/resume"
)

// Config configures a host.
type Config struct {
	// Name is that of Name. Required.
	Name string

	// Version is what State reports.
	Version string

	// Grace is how long a host that keeps nothing waits for a network half; 0
	// means 1 min, in which a service manager has restarted that.
	Grace time.Duration

	// Log gets what an operator should know; nil discards.
	Log *slog.Logger
}

// host is one run of the process.
type host struct {
	cfg     Config
	log     *slog.Logger
	started time.Time
	end     context.CancelFunc
	events  *feed[sshd.Event]
	known   atomic.Pointer[script.Since] // the last phase that was passed on
	scripts *feed[script.Event]

	mu     sync.Mutex // guards below
	login  sshd.Login
	parts  *parts    // nil before the first setup
	halves int       // network halves that are attached
	left   time.Time // when the last one left
}

// parts is what keeps sessions.
type parts struct {
	ssh       *sshd.Server
	streams   *resume.Server
	terminals *pty.Terminals
	scripts   *script.Runner
	processes *process.Processes

	blockFileTransfer bool
	stopTimeout       time.Duration // of the scripts of the stop
	ended             sync.Once
}

// Run keeps the sessions of one agent until ctx ends, it is told to end, or it
// is of no use any more. An error means that it could not begin: another host
// has the name.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Grace == 0 {
		cfg.Grace = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ln, err := listen(cfg.Name)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	now := time.Now()
	h := &host{
		cfg: cfg, log: cfg.Log, started: now, left: now, end: end,
		events: newFeed[sshd.Event](now, maxEvents), scripts: newFeed[script.Event](now, maxScriptEvents),
	}
	h.scripts.passed = h.told
	server := &http.Server{Handler: h.routes(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ln) })
	h.log.Info("session host started", "pid", os.Getpid(), "version", cfg.Version)
	h.wait(ctx)
	err = h.closeParts(true)
	err = errors.Join(err, server.Close())
	serving.Wait()
	h.log.Info("session host ended")
	return err
}

// wait returns when ctx has ended or nothing needs the host.
func (h *host) wait(ctx context.Context) {
	tick := time.NewTicker(h.cfg.Grace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if h.useless() {
				h.log.Info("nothing to keep and no network half")
				return
			}
		}
	}
}

// told notes the phase that the server knows.
func (h *host) told(e script.Event) {
	if e.Phase != nil {
		h.known.Store(e.Phase)
	}
}

func (h *host) useless() bool {
	h.mu.Lock()
	alone := h.halves == 0 && time.Since(h.left) >= h.cfg.Grace
	h.mu.Unlock()
	return alone && h.state().Idle()
}

// joined counts the network halves.
func (h *host) joined(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.halves += n; h.halves == 0 {
		h.left = time.Now()
	}
}

// set makes the parts at the first call and changes what later logins get. The
// first call begins the scripts of the start.
func (h *host) set(s Setup) error {
	p, err := h.adopt(s)
	if err != nil {
		return err
	}
	p.scripts.Resume(s.Phase)
	p.scripts.Set(s.Scripts)
	return nil
}

func (h *host) adopt(s Setup) (*parts, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.login = sshd.Login{Env: s.Env, Dir: s.Dir, Banners: s.Banners, MOTD: cmp.Or(s.MOTD, sshd.SystemMOTD)}
	if h.parts == nil {
		if s.Phase.Phase != "" {
			h.known.Store(&s.Phase)
		}
		p, err := h.newParts(s)
		if err != nil {
			return nil, err
		}
		h.parts = p
	}
	return h.parts, nil
}

func (h *host) newParts(s Setup) (*parts, error) {
	key, err := sshd.HostKey(s.Workspace, s.Agent)
	if err != nil {
		return nil, err
	}
	ssh := sshd.New(key, h.sshConfig(s.Options))
	p := &parts{ssh: ssh, terminals: pty.New(h.terminalConfig(ssh, s.Options)), stopTimeout: s.Options.StopTimeout, blockFileTransfer: s.Options.BlockFileTransfer}
	p.processes = process.New(process.Config{Login: processLogin(ssh), Start: ssh.StartProgram, Log: h.log})
	p.scripts = script.New(script.Config{
		Login: scriptLogin(ssh), Start: ssh.StartProgram, LogDir: cmp.Or(s.Options.LogDir, os.TempDir()), DataDir: cmp.Or(s.Options.DataDir, os.TempDir()),
		Report: h.scripts.add, Log: h.log,
	})
	p.streams = resume.NewServer(resume.ServerConfig{Streams: streams(s.Options), Log: h.log, Handle: func(ctx context.Context, service byte, conn net.Conn) {
		switch service {
		case resume.ServiceSSH:
			ssh.HandleConn(ctx, conn)
		case resume.ServiceTerminal:
			h.view(ctx, p.terminals, conn)
		default:
			_ = conn.Close()
		}
	}})
	return p, nil
}

// streams is less than the SSH server's bound of connections: streams make room
// by ending those whose client is away, connections do not.
func streams(o Options) int { return max(1, cmp.Or(o.Connections, 256)*3/4) }

func (h *host) sshConfig(o Options) sshd.Config {
	return sshd.Config{
		Login:      func(context.Context) sshd.Login { return h.currentLogin() },
		Limits:     sshd.Limits{Connections: o.Connections, Sessions: o.Sessions, Handshake: o.Handshake},
		MaxTimeout: o.MaxTimeout, BlockFileTransfer: o.BlockFileTransfer,
		BlockLocalForwarding: o.BlockLocalForwarding, BlockRemoteForwarding: o.BlockRemoteForwarding,
		Report: h.events.add, Log: h.log,
	}
}

func (h *host) terminalConfig(ssh *sshd.Server, o Options) pty.Config {
	cfg := pty.Config{Login: terminalLogin(ssh), Start: ssh.StartProgram, Keep: o.TerminalKeep, Log: h.log}
	if o.SmallestViewer {
		cfg.Size = pty.SizeSmallest
	}
	return cfg
}

// terminalLogin gives terminals what SSH sessions have.
func terminalLogin(ssh *sshd.Server) func(context.Context) (pty.Login, error) {
	return func(ctx context.Context) (pty.Login, error) {
		shell := ssh.Shell(ctx)
		return pty.Login{Shell: shell.Path, Env: shell.Env, Dir: shell.Dir}, nil
	}
}

// scriptLogin gives scripts what SSH sessions have.
func scriptLogin(ssh *sshd.Server) func(context.Context) (script.Login, error) {
	return func(ctx context.Context) (script.Login, error) {
		shell := ssh.Shell(ctx)
		return script.Login{Shell: shell.Path, Env: shell.Env, Dir: shell.Dir}, nil
	}
}

// processLogin gives commands of the API what SSH sessions have.
func processLogin(ssh *sshd.Server) func(context.Context) (process.Login, error) {
	return func(ctx context.Context) (process.Login, error) {
		shell := ssh.Shell(ctx)
		return process.Login{Shell: shell.Path, Env: shell.Env, Dir: shell.Dir}, nil
	}
}

func (h *host) currentLogin() sshd.Login {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.login
}

func (h *host) currentParts() *parts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.parts
}

func (h *host) state() State {
	s := State{Version: h.cfg.Version, PID: os.Getpid(), Started: h.started, Known: h.known.Load(), Untold: h.scripts.waiting()}
	if p := h.currentParts(); p != nil {
		c := p.ssh.Counters()
		s.Connections, s.Processes = c.ActiveConnections, c.ActiveProcesses+p.processes.Active()
		s.Streams, s.Waiting = p.streams.Streams()
		t := p.terminals.Counters()
		s.Terminals, s.Viewers = t.Active, t.ActiveViewers
		s.Input, s.EditorBytes = c.Input+t.Typed, c.EditorBytes
		s.Sessions = c.ActiveSessions
		s.Phase, s.Running = p.scripts.Status()
		s.Scripts = p.scripts.Open()
	}
	return s
}

// closeParts ends every session, and what scripts have started; with stop the
// scripts of the stop run then. It is done once.
func (h *host) closeParts(stop bool) (err error) {
	p := h.currentParts()
	if p == nil {
		return nil
	}
	p.ended.Do(func() {
		if stop {
			p.scripts.Stopping()
		}
		var processes error
		var closing sync.WaitGroup
		closing.Go(func() { processes = p.processes.Close() }) // has the same grace as what SSH started
		err = errors.Join(p.ssh.Close(), p.terminals.Close(), p.streams.Close())
		closing.Wait()
		err = errors.Join(err, processes)
		if stop {
			ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(p.stopTimeout, DefaultStopTimeout))
			defer cancel()
			p.scripts.Stop(ctx)
		}
		err = errors.Join(err, p.scripts.Close())
	})
	return err
}

// DefaultStopTimeout is Options.StopTimeout when it is 0.
const DefaultStopTimeout = 45 * time.Second

// carry serves one connection of a user until it ends.
func (h *host) carry(ctx context.Context, kind string, conn net.Conn) {
	p := h.currentParts()
	switch {
	case p == nil:
		_ = conn.Close()
	case kind == KindSSH:
		p.ssh.HandleConn(ctx, conn)
	case kind == KindResume:
		if err := p.streams.ServeConn(conn); err != nil {
			h.log.Debug("connection of a session broke", "err", err)
		}
	case kind == KindTerminal:
		h.view(ctx, p.terminals, conn)
	}
}

// view shows a terminal to one viewer, who is reported as a connection.
func (h *host) view(ctx context.Context, terminals *pty.Terminals, conn net.Conn) {
	e := sshd.Event{
		Kind: sshd.SessionStarted, Connection: uuid.NewString(), Session: uuid.NewString(), Type: TypeTerminal,
		Remote: conn.RemoteAddr().String(), Started: time.Now(), Time: time.Now(),
	}
	h.events.add(e)
	err := terminals.Serve(ctx, conn)
	e.Kind, e.Time = sshd.SessionEnded, time.Now()
	if err != nil {
		h.log.Debug("viewer of a terminal left", "err", err)
		e.Reason = err.Error()
	}
	h.events.add(e)
}
