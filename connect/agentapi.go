package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// apiPort is where agents answer by HTTP.
	apiPort = 4
	// maxAnswer bounds what an agent may answer.
	maxAnswer = 1 << 20
	// apiIdle is how long a connection is kept for the next question.
	apiIdle = 30 * time.Second
)

// agentAPI is a client that reaches the agent, whatever the URL says.
func (c *Conn) agentAPI() *http.Client {
	return &http.Client{Transport: &http.Transport{
		IdleConnTimeout: apiIdle,
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return c.DialTCP(ctx, apiPort) },
	}}
}

// api calls the agent, and decodes its answer unless result is nil.
func (c *Conn) api(ctx context.Context, method, path string, result any) error {
	body, err := c.askAgent(ctx, method, path)
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(body, result)
}

// AgentSays is what the agent answers a GET of path on its port 4, at most 1 MiB
// of it; docs/agent-api.md lists the paths.
func (c *Conn) AgentSays(ctx context.Context, path string) ([]byte, error) {
	return c.askAgent(ctx, http.MethodGet, path)
}

func (c *Conn) askAgent(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the agent: %w", err)
	case res.StatusCode == http.StatusNotFound && !strings.Contains(string(body), "terminal"):
		return nil, fmt.Errorf("the workspace's agent does not know %s: it is of another make", path)
	case res.StatusCode >= http.StatusBadRequest:
		return nil, fmt.Errorf("the agent says: %s", strings.TrimSpace(string(body)))
	}
	return body, nil
}

// ListeningPort is a TCP port that a process of the workspace listens on.
type ListeningPort struct {
	Process string `json:"process_name"`
	Port    uint16 `json:"port"`
	// Own says whether it is a process of the agent's user; nil when the agent,
	// which is of another make, does not tell.
	Own *bool `json:"own"`
}

// ListeningPorts lists the ports of the workspace that can be forwarded to.
func (c *Conn) ListeningPorts(ctx context.Context) ([]ListeningPort, error) {
	var list struct{ Ports []ListeningPort }
	return list.Ports, c.api(ctx, http.MethodGet, "/api/v0/listening-ports", &list)
}
