package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/berthdev/berth/agent/pty"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

const (
	// agentTerminals and agentAPI are ports of agents (reference: tailnet §6).
	agentTerminals = 2
	agentAPI       = 4

	// dialTimeout is how long a browser waits for the agent of its terminal.
	dialTimeout = 20 * time.Second
	// maxTyped bounds one message of a browser in bytes: a large paste.
	maxTyped = 1 << 20
	// maxTerminalSide bounds the size of a terminal, as agents do.
	maxTerminalSide = 1000
	// maxCommand bounds the command of a terminal in bytes: it must fit into
	// the first message to the agent.
	maxCommand = 16 << 10
	// shownAtOnce is how many bytes of output one message brings at most.
	shownAtOnce = 32 << 10
)

// getTerminal carries a terminal of the workspace over a WebSocket: what is
// shown comes as binary messages, what is typed goes as JSON objects (reference:
// tailnet §6). The terminal is the agent's: it goes on when the browser leaves,
// and who comes back under the same id gets its screen.
func (s *Server) getTerminal(w http.ResponseWriter, r *http.Request) error {
	d, err := s.pathAgent(r, auth.SSH)
	if err != nil {
		return hidden(err)
	}
	init, err := terminalOf(r)
	if err != nil {
		return err
	}
	ctx, done, err := s.streams.begin(r.Context(), callerOf(r).UserID)
	if err != nil {
		return err
	}
	defer done()
	ws, err := s.accept(w, r)
	if err != nil {
		return err
	}
	ws.SetReadLimit(maxTyped)
	t := &terminal{ws: ws, workspace: d.Workspace.ID}
	if t.conn, err = s.dialAgent(ctx, d, agentTerminals); err == nil {
		defer t.conn.Close()
		s.log.Info("terminal opened", "workspace", d.Workspace.Name, "owner", d.Owner.Username, "by", callerOf(r).Username, "terminal", init.ID)
		err = s.carryTerminal(ctx, t, init)
	}
	closeSocket(ctx, ws, err)
	t.typing.Wait()
	return nil
}

// terminalOf reads which terminal is asked for.
func terminalOf(r *http.Request) (init pty.Init, err error) {
	q := r.URL.Query()
	if init.ID, err = uuid.Parse(q.Get("reconnect")); err != nil || init.ID == uuid.Nil {
		return init, invalid("reconnect", "Must be a UUID: that of the terminal, or a new one.")
	}
	for name, side := range map[string]*uint16{"height": &init.Height, "width": &init.Width} {
		*side = 80
		if text := q.Get(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 16)
			if err != nil || n == 0 || n > maxTerminalSide {
				return init, invalid(name, fmt.Sprintf("Must be a number from 1 to %d.", maxTerminalSide))
			}
			*side = uint16(n)
		}
	}
	if q.Get("container") != "" {
		return init, invalid("container", "This server opens terminals in workspaces, not in containers within them.")
	}
	init.MustExist = q.Get("existing") == "true"
	init.Command = q.Get("command")
	if len(init.Command) > maxCommand || !utf8.ValidString(init.Command) {
		return init, invalid("command", fmt.Sprintf("Must be UTF-8 of at most %d bytes.", maxCommand))
	}
	return init, nil
}

// dialAgent connects to a port of an agent that the caller may use.
func (s *Server) dialAgent(ctx context.Context, d store.AgentDetail, port uint16) (net.Conn, error) {
	if !s.sessions.connected(d.Agent.ID) && s.alone() {
		return nil, errNotThere
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := s.dialer.dial(ctx, d.Agent.ID, port)
	if err != nil && !errors.Is(err, errStopping) {
		s.log.Warn("agent not reached", "agent", d.Agent.ID, "port", port, "err", err)
		return nil, errNotThere
	}
	return conn, err
}

// terminal is one viewer: a browser and its connection to the agent.
type terminal struct {
	ws        *websocket.Conn
	conn      net.Conn
	workspace uuid.UUID
	typing    sync.WaitGroup // what is typed is passed on until ws is closed
}

// carryTerminal copies both ways until one side leaves, which is no error.
func (s *Server) carryTerminal(ctx context.Context, t *terminal, init pty.Init) (err error) {
	if err := t.conn.SetWriteDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	if err := pty.WriteInit(t.conn, init); err != nil {
		return err
	}
	typing := make(chan error, 1)
	t.typing.Go(func() {
		typing <- t.typed(func() { _ = s.used(ctx, t.workspace, "terminal in the browser") })
		t.conn.Close()
	})
	g, both := errgroup.WithContext(ctx)
	defer context.AfterFunc(both, func() { t.conn.Close() })()
	g.Go(func() error { return t.show(both) })
	g.Go(func() error { return t.ping(both) })
	err = g.Wait()
	select {
	case err = <-typing: // is why
	default:
	}
	if errors.Is(err, errTerminalEnded) {
		return nil
	}
	return err
}

// errTerminalEnded ends the other direction too.
var errTerminalEnded = errors.New("the terminal has ended")

// show passes on what the terminal shows. A browser that does not read holds
// the agent up, which gives it a newer screen in place of what it missed.
func (t *terminal) show(ctx context.Context) error {
	buf := make([]byte, shownAtOnce)
	for {
		n, err := t.conn.Read(buf)
		if n > 0 {
			if err := t.write(ctx, buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return errTerminalEnded
		}
	}
}

func (t *terminal) write(ctx context.Context, p []byte) error {
	ctx, cancel := context.WithTimeout(ctx, slowBrowser)
	defer cancel()
	return t.ws.Write(ctx, websocket.MessageBinary, p)
}

// slowBrowser is how long a browser, or an agent, may leave one message waiting.
const slowBrowser = 30 * time.Second

// typed passes on what the browser sends, a whole object at a time, until the
// WebSocket is closed: a context that ends would break it, and nobody would
// learn why. It counts as use of the workspace.
func (t *terminal) typed(used func()) error {
	var counted time.Time
	for {
		_, msg, err := t.ws.Read(context.Background())
		if err != nil {
			return errTerminalEnded
		}
		if !json.Valid(msg) {
			return errors.New("a message is not JSON")
		}
		if time.Since(counted) > time.Minute {
			counted = time.Now()
			used()
		}
		if err := t.conn.SetWriteDeadline(time.Now().Add(slowBrowser)); err != nil {
			return err
		}
		if _, err := t.conn.Write(msg); err != nil {
			return errTerminalEnded
		}
	}
}

func (t *terminal) ping(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := (jsonSocket{t.ws}).ping(ctx); err != nil {
				return errTerminalEnded
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// maxAgentAnswer bounds what is taken of an agent's answer, in bytes.
const maxAgentAnswer = 1 << 20

// listTerminals lists the terminals that run in a workspace. What the agent
// says is decoded, so that nothing of it but the list gets further.
func (s *Server) listTerminals(w http.ResponseWriter, r *http.Request) error {
	d, err := s.pathAgent(r, auth.SSH)
	if err != nil {
		return hidden(err)
	}
	list := api.Terminals{Terminals: []api.Terminal{}}
	if err := s.askAgent(r.Context(), d, "/api/v0/terminals", &list); err != nil {
		return refuse(http.StatusBadGateway, "The agent of the workspace does not answer.", err.Error())
	}
	return ok(w, list)
}

// listPorts lists the ports that processes of the workspace listen on.
func (s *Server) listPorts(w http.ResponseWriter, r *http.Request) error {
	d, err := s.pathAgent(r, auth.SSH)
	if err != nil {
		return hidden(err)
	}
	list := api.ListeningPorts{Ports: []api.ListeningPort{}}
	if err := s.askAgent(r.Context(), d, "/api/v0/listening-ports", &list); err != nil {
		return refuse(http.StatusBadGateway, "The agent of the workspace does not answer.", err.Error())
	}
	return ok(w, list)
}

// askAgent gets JSON from an agent's HTTP API. Redirects are not followed: an
// agent must not send the server elsewhere.
func (s *Server) askAgent(ctx context.Context, d store.AgentDetail, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	client := http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dialAgent(ctx, d, agentAPI) },
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent"+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		if errors.Is(err, errNotThere) {
			return errNotThere
		}
		return errors.New("the connection broke")
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %d", res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAgentAnswer)).Decode(into); err != nil {
		return errors.New("its answer is not as expected")
	}
	return nil
}
