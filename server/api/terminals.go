package api

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// Terminal is a program of a workspace that runs on a terminal of its own,
// whether somebody looks at it or not.
type Terminal struct {
	ID      uuid.UUID `json:"id"`
	Command string    `json:"command"` // "" is a login shell
	Title   string    `json:"title"`   // as the program set it; not trusted
	Width   int       `json:"width"`   // in characters, like Height
	Height  int       `json:"height"`
	Created time.Time `json:"created"`
	Viewers int       `json:"viewers"`
	Ended   bool      `json:"ended"`
}

// Terminals is a list of them.
type Terminals struct {
	Terminals []Terminal `json:"terminals"`
}

// Terminals asks the server for the terminals of an agent; 502 when the agent
// does not answer.
func (c *Client) Terminals(ctx context.Context, agent uuid.UUID) ([]Terminal, error) {
	var out Terminals
	err := c.get(ctx, "/api/v2/workspaceagents/"+agent.String()+"/terminals", &out)
	return out.Terminals, err
}

// TerminalRequest says which terminal to look at.
type TerminalRequest struct {
	ID            uuid.UUID // of the terminal, or a new one
	Command       string    // of a new one; "" is a login shell
	Width, Height uint16    // of the one who looks
}

// Terminal looks at a terminal of an agent by way of the server. Read gives what it
// shows, until io.EOF at its end; each Write sends an object of the terminal's
// protocol.
func (c *Client) Terminal(ctx context.Context, agent uuid.UUID, req TerminalRequest) (net.Conn, error) {
	query := url.Values{
		"reconnect": {req.ID.String()}, "command": {req.Command},
		"width": {strconv.Itoa(int(req.Width))}, "height": {strconv.Itoa(int(req.Height))},
	}
	ws, err := c.dial(ctx, "/api/v2/workspaceagents/"+agent.String()+"/pty?"+query.Encode())
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(maxShown)
	return shown{websocket.NetConn(ctx, ws, websocket.MessageBinary)}, nil
}

// maxShown bounds one message of what a terminal shows, in bytes.
const maxShown = 4 << 20

// shown gives the server's reason for an end as it is.
type shown struct{ net.Conn }

func (s shown) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if closed := (websocket.CloseError{}); errors.As(err, &closed) && closed.Reason != "" {
		err = errors.New(closed.Reason)
	}
	return n, err
}

// ListeningPorts are the ports that processes of a workspace listen on.
type ListeningPorts struct {
	Ports []ListeningPort `json:"ports"`
}

// ListeningPort is one of them.
type ListeningPort struct {
	Process string `json:"process_name"` // "" when it is hidden from the agent
	Network string `json:"network"`      // tcp
	Port    uint16 `json:"port"`
}

// ListeningPorts lists the ports that can be forwarded to.
func (c *Client) ListeningPorts(ctx context.Context, agent uuid.UUID) ([]ListeningPort, error) {
	var out ListeningPorts
	return out.Ports, c.get(ctx, "/api/v2/workspaceagents/"+agent.String()+"/listening-ports", &out)
}
