package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/pty"
	"github.com/berthdev/berth/connect/resume"
)

const (
	terminalPort = 2 // where agents show terminals
	apiPort      = 4 // where agents answer by HTTP
)

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

// maxAnswer bounds what an agent may answer.
const maxAnswer = 1 << 20

// api calls the agent, and decodes its answer unless result is nil.
func (c *Conn) api(ctx context.Context, method, path string, result any) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.DialTCP(ctx, apiPort) },
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("ask the agent: %w", err)
	case res.StatusCode == http.StatusNotFound && !strings.Contains(string(body), "terminal"):
		return fmt.Errorf("the workspace's agent does not know %s: it is of another make", path)
	case res.StatusCode >= http.StatusBadRequest:
		return fmt.Errorf("the agent says: %s", strings.TrimSpace(string(body)))
	case result == nil:
		return nil
	}
	return json.Unmarshal(body, result)
}
