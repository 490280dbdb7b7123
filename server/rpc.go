package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"storj.io/drpc"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

// lostAfter is how long the other end may leave pings without an answer: two
// of them.
const lostAfter = 2 * pingEvery

var errLost = errors.New("no answer to pings")

// checkVersion refuses versions of the agent and tailnet services that are not
// served. Clients compare the message.
func checkVersion(r *http.Request, absent string) error {
	version := r.URL.Query().Get("version")
	if version == "" {
		version = absent
	}
	if err := proto.CheckVersion(version); err != nil {
		return &problem{status: http.StatusBadRequest, body: api.Response{
			Message:     "Unknown or unsupported API version",
			Validations: []api.Validation{{Field: "version", Detail: err.Error()}},
		}}
	}
	return nil
}

// session is a WebSocket that carries calls.
type session struct {
	ws    *websocket.Conn
	calls drpc.Handler

	// check reports whether the session may go on: nil, or errSuperseded. It is
	// called when changed holds a token; after another error again with the next
	// ping.
	check   func(context.Context) error
	changed <-chan struct{}
}

// serveSession upgrades a request and runs a session in a goroutine of its own,
// which streams waits for: the handler's has grown by what it asked the
// database, and with it would stay all that belongs to a request. begin makes
// the session ready; its context ends when the server stops.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request, owner uuid.UUID, begin func(context.Context, *websocket.Conn) (run func())) error {
	ctx, done, err := s.streams.begin(context.Background(), owner)
	if err != nil {
		return err
	}
	ws, err := s.accept(w, r)
	if err != nil {
		done()
		return err
	}
	run := begin(ctx, ws)
	go func() {
		defer done()
		run()
	}()
	return nil
}

// run answers calls until the other end leaves (nil), is lost or may no longer
// be served, or ctx ends. It closes the WebSocket with the reason.
func (s session) run(ctx context.Context) error {
	// The stream outlives ctx for as long as it takes to say why it ended.
	open, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server, err := wire.NewServer(wire.Stream(open, s.ws))
	if err != nil {
		return errors.Join(err, s.ws.CloseNow())
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	running.Go(func() { stop(server.Serve(open, s.calls)) })
	err = s.watch(ctx, &running, server.Ping)
	s.close(err)
	end()
	running.Wait()
	return err
}

// watch returns why the session ends; nil: the other end left. It only waits:
// what takes time or stack is asked in goroutines of their own, which running
// counts.
func (s session) watch(ctx context.Context, running *sync.WaitGroup, ping func() error) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	pings := newQuestion(running, ping)
	checks := newQuestion(running, func() error { return s.mustEnd(ctx) })
	answered, unsure := time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return leftOr(context.Cause(ctx))
		case <-s.changed:
			checks.ask()
		case err := <-checks.answer:
			if errors.Is(err, errSuperseded) {
				return err
			}
			unsure = err != nil
			checks.answered()
		case err := <-pings.answer:
			if err == nil {
				answered = time.Now()
			}
			pings.answered()
		case <-tick.C:
			if time.Since(answered) > lostAfter {
				return errLost
			}
			if unsure {
				checks.ask()
			}
			if !pings.open {
				pings.ask()
			}
		}
	}
}

func (s session) mustEnd(ctx context.Context) error {
	if s.check == nil {
		return nil
	}
	return s.check(ctx)
}

// question is asked in a goroutine, one at a time; of those asked meanwhile one
// is asked afterwards.
type question struct {
	running     *sync.WaitGroup
	fn          func() error
	answer      chan error
	open, again bool
}

func newQuestion(running *sync.WaitGroup, fn func() error) *question {
	return &question{running: running, fn: fn, answer: make(chan error, 1)}
}

func (q *question) ask() {
	if q.again = q.open; q.open {
		return
	}
	q.open = true
	q.running.Go(func() { q.answer <- q.fn() })
}

// answered must be called after each answer.
func (q *question) answered() {
	q.open = false
	if q.again {
		q.ask()
	}
}

// leftOr is nil when the other end left.
func leftOr(cause error) error {
	if errors.Is(cause, context.Canceled) {
		return nil
	}
	return cause
}

// close says why the session ended. Who is lost is not waited for.
func (s session) close(err error) {
	switch {
	case errors.Is(err, errLost):
		_ = s.ws.CloseNow()
	case err == nil:
		_ = s.ws.Close(websocket.StatusNormalClosure, "")
	case errors.Is(err, errStopping):
		_ = s.ws.Close(websocket.StatusGoingAway, err.Error())
	case errors.Is(err, errReplaced), errors.Is(err, errSuperseded):
		_ = s.ws.Close(websocket.StatusPolicyViolation, err.Error())
	default:
		_ = s.ws.Close(websocket.StatusInternalError, printable(err.Error(), maxReason))
	}
}
