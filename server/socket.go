package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/server/api"
)

const (
	// pingEvery is how often the other end of a stream is asked whether it is
	// still there (reference: 15 s, lost after two misses).
	pingEvery = 15 * time.Second
	// writeTimeout is how long a reader may keep one message waiting.
	writeTimeout = 10 * time.Second
	// maxClientFrame bounds what a client may send on a socket that only we
	// talk on: control frames, and data that ends it.
	maxClientFrame = 1 << 10
)

// accept upgrades a request to a WebSocket. Errors are answers: the upgrade has
// not happened then.
func (s *Server) accept(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return nil, refuse(http.StatusUpgradeRequired, "This route is a WebSocket.", "")
	}
	if err := s.checkOrigin(r); err != nil {
		return nil, err
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // checkOrigin did it, and answers with JSON
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		s.log.Debug("websocket handshake failed", "request", requestID(r), "err", err)
		return nil, errAnswered
	}
	return ws, nil
}

// sessionBuffer is the size in bytes of the two buffers of a session's WebSocket:
// thousands wait, for messages of which most are smaller. net/http gives 4 KiB.
const sessionBuffer = 512

// smallBuffers makes the buffers of a connection small when it is taken over.
type smallBuffers struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (s smallBuffers) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	in := bufio.NewReaderSize(bytes.NewReader(bytes.Clone(early)), max(sessionBuffer, len(early)))
	if _, err := in.Peek(len(early)); err != nil { // what has come is in the buffer
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, bufio.NewReadWriter(in, bufio.NewWriterSize(conn, sessionBuffer)), nil
}

// errAnswered says that the answer was given already.
var errAnswered = errors.New("answered")

// checkOrigin keeps pages of other sites from using the cookie of a browser:
// browsers do not stop them from opening WebSockets. A token in a header was
// put there by who has it.
func (s *Server) checkOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" || !usesCookie(r) {
		return nil
	}
	u, err := url.Parse(origin)
	if err == nil && (strings.EqualFold(u.Host, r.Host) || strings.EqualFold(u.Host, s.access.Host)) {
		return nil
	}
	return forbidden("The page that opened this connection is not of this server.")
}

// usesCookie reports whether the session of a request is in its cookie.
func usesCookie(r *http.Request) bool {
	c, err := r.Cookie(api.CookieToken)
	return err == nil && c.Value != ""
}

// closeSocket ends a WebSocket for the cause that ended its stream.
func closeSocket(ctx context.Context, ws *websocket.Conn, err error) {
	code, reason := websocket.StatusNormalClosure, "Connection closed"
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errStopping):
		code, reason = websocket.StatusGoingAway, errStopping.Error()
	case errors.Is(cause, errBarred):
		code, reason = websocket.StatusPolicyViolation, errBarred.Error()
	case errors.Is(err, errClientTalked):
		code, reason = websocket.StatusProtocolError, errClientTalked.Error()
	case ctx.Err() == nil && err != nil:
		code, reason = websocket.StatusInternalError, printable(err.Error(), maxReason)
	}
	_ = ws.Close(code, reason) // the other end may be gone
}

// maxReason is what a close frame has room for, in bytes (RFC 6455: 125 with
// the code).
const maxReason = 120

// errClientTalked ends a socket that only we talk on.
var errClientTalked = errors.New("unexpected data from the client")

// jsonSocket sends JSON text frames and pings.
type jsonSocket struct{ ws *websocket.Conn }

func (j jsonSocket) send(ctx context.Context, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return j.ws.Write(ctx, websocket.MessageText, raw)
}

func (j jsonSocket) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return j.ws.Ping(ctx)
}

// serveSocket runs fn with a socket on which only we talk, and closes it. The
// context of fn ends when the client leaves or talks.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request, fn func(ctx context.Context, out jsonSocket) error) error {
	ctx, done, err := s.streams.begin(r.Context(), callerOf(r).UserID)
	if err != nil {
		return err
	}
	defer done()
	ws, err := s.accept(w, r)
	if err != nil {
		return err
	}
	ws.SetReadLimit(maxClientFrame)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _, err := ws.Read(context.WithoutCancel(ctx)) // ends with the socket
		if err == nil {
			err = errClientTalked
		}
		cancel(err)
	}()
	err = fn(ctx, jsonSocket{ws})
	if cause := context.Cause(ctx); errors.Is(cause, errClientTalked) {
		err = cause
	}
	closeSocket(ctx, ws, err)
	<-read
	return nil
}
