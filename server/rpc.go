package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
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
	// called at the start and when changed holds a token; after another error
	// again with the next ping.
	check   func(context.Context) error
	changed <-chan struct{}
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
	err = s.watch(ctx, func(done chan<- error) { running.Go(func() { done <- server.Ping() }) })
	s.close(err)
	end()
	running.Wait()
	return err
}

// watch returns why the session ends; nil: the other end left.
func (s session) watch(ctx context.Context, ping func(done chan<- error)) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	pinged := make(chan error, 1)
	answered, asked, unchecked := time.Now(), false, s.mustEnd(ctx)
	for {
		if errors.Is(unchecked, errSuperseded) {
			return unchecked
		}
		select {
		case <-ctx.Done():
			return leftOr(context.Cause(ctx))
		case <-s.changed:
			unchecked = s.mustEnd(ctx)
		case err := <-pinged:
			if asked = false; err == nil {
				answered = time.Now()
			}
		case <-tick.C:
			if time.Since(answered) > lostAfter {
				return errLost
			}
			if unchecked != nil {
				unchecked = s.mustEnd(ctx)
			}
			if !asked {
				asked = true
				ping(pinged)
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
