package connect

import (
	"context"
	"errors"
	"net/http"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/pty"
	"github.com/berthdev/berth/connect/resume"
)

// terminalPort is where agents show terminals.
const terminalPort = 2

// Terminal shows a terminal of the workspace, which init may make. It lasts as
// LastingSSH does if the agent is ours. The caller closes the client, which
// leaves the terminal as it is.
func (c *Conn) Terminal(ctx context.Context, init pty.Init) (*pty.Client, error) {
	conn, err := c.lasting(ctx, resume.ServiceTerminal)
	if errors.Is(err, ErrRefused) {
		conn, err = c.DialTCP(ctx, terminalPort)
	}
	if err != nil {
		return nil, err
	}
	client, err := pty.NewClient(conn, init)
	if err != nil {
		_ = conn.Close()
	}
	return client, err
}

// Terminals lists the terminals of the workspace. Agents of other makes have
// no such list.
func (c *Conn) Terminals(ctx context.Context) ([]pty.Info, error) {
	var list struct{ Terminals []pty.Info }
	return list.Terminals, c.api(ctx, http.MethodGet, "/api/v0/terminals", &list)
}

// KillTerminal ends a terminal and its program.
func (c *Conn) KillTerminal(ctx context.Context, id uuid.UUID) error {
	return c.api(ctx, http.MethodDelete, "/api/v0/terminals/"+id.String(), nil)
}
