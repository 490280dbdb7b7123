package server

import (
	"context"
	"errors"
	"net/http"
	"sync"

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

// session is a WebSocket that carries calls. While nothing happens one goroutine
// reads from it, and that is all: its pulse, what it must check and its end come
// from outside.
type session struct {
	ws     *websocket.Conn
	server *wire.Server
	end    context.CancelCauseFunc // of the context that it runs in

	// Set before run, by who begins it.
	calls drpc.Handler
	check func() error // nil, or whether the session may go on: errSuperseded

	mu       sync.Mutex // guards below
	over     bool
	asking   sync.WaitGroup // goroutines that ask something
	pinging  bool
	checking bool
	again    bool // something has changed since the check began
	unsure   bool // the last check failed
}

// serveSession upgrades a request and runs a session in a goroutine of its own,
// which streams waits for: the handler's has grown by what it asked the
// database, and with it would stay all that belongs to a request. begin makes
// the session ready; its context ends when the server stops.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request, owner uuid.UUID, begin func(context.Context, *session) (run func())) error {
	ctx, done, err := s.streams.begin(context.Background(), owner)
	if err != nil {
		return err
	}
	ws, err := s.accept(smallBuffers{w}, r)
	if err != nil {
		done()
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	run := begin(ctx, &session{ws: ws, server: wire.NewServer(wire.NewSocket(ws)), end: end})
	go func() {
		defer done()
		defer end(nil)
		run()
	}()
	return nil
}

// run answers calls until the other end leaves (nil), is lost or may no longer
// be served, or ctx ends. It closes the WebSocket with the reason.
func (s *session) run(ctx context.Context, pulse *pulse) error {
	defer s.finish()
	defer pulse.join(s)()
	told := make(chan struct{})
	// The calls outlive ctx for as long as it takes to say why it ended.
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		s.close(leftOr(context.Cause(ctx)))
	})
	err := s.server.Serve(context.WithoutCancel(ctx), s.calls)
	if stop() {
		s.close(err)
		return err
	}
	<-told
	return leftOr(context.Cause(ctx))
}

// finish waits for what the session asks. It must be called for each that was
// begun, when it has ended.
func (s *session) finish() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.asking.Wait()
}

// beat is called every pingEvery: it asks for a sign of life.
func (s *session) beat() {
	if s.server.Silence() > lostAfter {
		s.end(errLost)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsure {
		s.checkLocked()
	}
	if s.over || s.pinging {
		return
	}
	s.pinging = true
	s.asking.Go(func() {
		_ = s.server.Ping() // who does not get it is not heard
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pinging = false
	})
}

// changed has the session checked. It does not block.
func (s *session) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkLocked()
}

func (s *session) checkLocked() {
	s.again = true
	if s.over || s.checking || s.check == nil {
		return
	}
	s.checking = true
	s.asking.Go(func() {
		for s.mustCheck() {
			if err := s.check(); errors.Is(err, errSuperseded) {
				s.end(err)
			} else {
				s.checked(err)
			}
		}
	})
}

// mustCheck reports whether something has changed since the last check began.
func (s *session) mustCheck() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checking, s.again = s.again, false
	return s.checking
}

// checked remembers to ask again after trouble.
func (s *session) checked(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsure = err != nil
}

// leftOr is nil when the other end left.
func leftOr(cause error) error {
	if errors.Is(cause, context.Canceled) {
		return nil
	}
	return cause
}

// close says why the session ended. Who is lost is not waited for.
func (s *session) close(err error) {
	switch {
	case errors.Is(err, errLost):
		_ = s.ws.CloseNow()
	case err == nil:
		_ = s.ws.Close(websocket.StatusNormalClosure, "")
	case errors.Is(err, errStopping):
		_ = s.ws.Close(websocket.StatusGoingAway, err.Error())
	case errors.Is(err, errReplaced), errors.Is(err, errSuperseded), errors.Is(err, errBarred):
		_ = s.ws.Close(websocket.StatusPolicyViolation, err.Error())
	default:
		_ = s.ws.Close(websocket.StatusInternalError, printable(err.Error(), maxReason))
	}
}
