package api

import (
	"context"
	"time"

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
