package connect

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/proto"
	"github.com/berthdev/berth/tailnet/wire"
)

const (
	// firstPause and lastPause bound the pauses between two tries to reach the
	// server; they double, with jitter, so that the clients of a server that
	// comes back do not come all at once. The longest lets a session over the
	// relay go on within 3 s: the relay admits whom the coordinator knows.
	firstPause = 50 * time.Millisecond
	lastPause  = 1500 * time.Millisecond

	// steadyAfter is how long a connection must have lasted for the pauses to
	// begin anew.
	steadyAfter = 5 * time.Second

	// resumeDelay spares short commands the call for a resume token.
	resumeDelay = time.Second

	// resumeEvery is for servers that do not say when a token gets old, and
	// resumeAgain is when a failed call for one is repeated.
	resumeEvery = 30 * time.Minute
	resumeAgain = time.Minute

	// callTimeout bounds one call.
	callTimeout = 15 * time.Second
)

// session is one connection to the server.
type session struct {
	conn *wire.Conn
	// agent is the one whose own endpoint was dialed; Nil for that of all agents.
	agent uuid.UUID
	end   context.CancelFunc
}

// close ends the session without the WebSocket's goodbye, which would take a
// round trip: what there was to say to the coordinator was said.
func (s *session) close() {
	if s != nil {
		s.end()
		s.conn.Close()
	}
}

func dialTailnet(ctx context.Context, c *api.Client, token string) (*session, error) {
	return dialSession(ctx, uuid.Nil, func(ctx context.Context) (*wire.Conn, error) { return c.Tailnet(ctx, token) })
}

func dialAgent(ctx context.Context, c *api.Client, agent uuid.UUID, token string) (*session, error) {
	return dialSession(ctx, agent, func(ctx context.Context) (*wire.Conn, error) { return c.Coordinate(ctx, agent, token) })
}

// dialSession dials within ctx; the session outlives it until it is closed.
func dialSession(ctx context.Context, agent uuid.UUID, dial func(context.Context) (*wire.Conn, error)) (*session, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	conn, err := dial(life)
	if stop(); err != nil {
		end()
		return nil, err
	}
	return &session{conn, agent, end}, nil
}

// firstSession takes the early session, or dials in the way of older servers,
// until it succeeds or there is no point in trying again.
func (c *Conn) firstSession(ctx context.Context, agent uuid.UUID) (*session, error) {
	var r result[*session]
	select {
	case r = <-c.first:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s, err := r.value, r.err
	if api.StatusCode(err) == http.StatusNotFound { // a server without the endpoint for all agents
		s, err = dialAgent(ctx, c.cfg.Client, agent, "")
	}
	for p := newPauses(); err != nil; s, err = dialAgent(ctx, c.cfg.Client, agent, "") {
		c.log.Debug("cannot reach the coordinator", "err", err)
		if final(err) || !p.wait(ctx) {
			return nil, err
		}
	}
	return s, nil
}

// final reports whether the server's answer will stay the same.
func final(err error) bool {
	switch api.StatusCode(err) {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusNotFound, http.StatusConflict, http.StatusInternalServerError:
		return true
	}
	return false
}

// follow serves the first session and those that come after it, until ctx ends.
func (c *Conn) follow(ctx context.Context, s *session) {
	of, resume := s.agent, &c.resume
	for p := newPauses(); ; {
		if s != nil {
			begun := time.Now()
			err := c.serve(ctx, s, resume)
			s.close()
			if time.Since(begun) > steadyAfter {
				p = newPauses()
			}
			c.log.Debug("control connection ended", "err", err)
		}
		if !p.wait(ctx) {
			return
		}
		var err error
		if s, err = c.redial(ctx, of, resume); err != nil {
			c.log.Debug("cannot reach the server", "err", err)
		}
		if isShutOut(err) {
			c.barredBy = err
			close(c.barred)
			_ = c.node.Close() // Close reports what is wrong with it
			return
		}
	}
}

// isShutOut reports whether the server refuses the user as suspended. Agents hang
// up then, so that waiting is of no use. A login that has merely expired ends
// nothing that goes on.
func isShutOut(err error) bool {
	var refused *api.Error
	return errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized && strings.HasPrefix(refused.Message, api.MessageNotActive)
}

// serve runs one session until it breaks or ctx ends.
func (c *Conn) serve(ctx context.Context, s *session, resume *resumption) error {
	client := proto.NewDRPCTailnetClient(s.conn)
	g, gctx := errgroup.WithContext(ctx)
	gctx, cancel := context.WithCancel(gctx)
	g.Go(func() error {
		defer cancel()
		return c.control.Run(ctx, c.node, client)
	})
	g.Go(func() error {
		resume.keep(gctx, client)
		return nil
	})
	return g.Wait()
}

// redial dials once, with the resume token if there is one that the server
// takes.
func (c *Conn) redial(ctx context.Context, of uuid.UUID, resume *resumption) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	dial := func() (*session, error) {
		if of == uuid.Nil {
			return dialTailnet(ctx, c.cfg.Client, resume.valid(time.Now()))
		}
		return dialAgent(ctx, c.cfg.Client, of, resume.valid(time.Now()))
	}
	s, err := dial()
	if refusedToken(err) {
		resume.set("", time.Time{})
		s, err = dial()
	}
	return s, err
}

// refusedToken reports whether the server did not like the resume token.
func refusedToken(err error) bool {
	var refused *api.Error
	if !errors.As(err, &refused) {
		return false
	}
	for _, v := range refused.Validations {
		if v.Field == "resume_token" {
			return true
		}
	}
	return false
}

// resumption is the token by which the next connection is the same peer.
type resumption struct {
	mu      sync.Mutex // guards below
	token   string
	expires time.Time
}

func (r *resumption) set(token string, expires time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token, r.expires = token, expires
}

// valid returns the token unless it has expired.
func (r *resumption) valid(now time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.After(r.expires) {
		return ""
	}
	return r.token
}

// keep gets a token and renews it until ctx ends or the server has none.
func (r *resumption) keep(ctx context.Context, client proto.DRPCTailnetClient) {
	for next := resumeDelay; ; {
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		var err error
		if next, err = r.renew(ctx, client); wire.Unimplemented(err) {
			return
		}
	}
}

// renew asks for a token once and returns when to ask again.
func (r *resumption) renew(ctx context.Context, client proto.DRPCTailnetClient) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	res, err := client.RefreshResumeToken(ctx, &proto.RefreshResumeTokenRequest{})
	if err != nil {
		return resumeAgain, fmt.Errorf("ask for a resume token: %w", err)
	}
	r.set(res.GetToken(), res.GetExpiresAt().AsTime())
	if d := res.GetRefreshIn().AsDuration(); d > 0 {
		return d, nil
	}
	return resumeEvery, nil
}

// pauses are those between tries.
type pauses struct{ next time.Duration }

func newPauses() *pauses { return &pauses{firstPause} }

// wait pauses and reports whether ctx still lives.
func (p *pauses) wait(ctx context.Context) bool {
	d := p.next/2 + rand.N(p.next)
	p.next = min(2*p.next, lastPause)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
