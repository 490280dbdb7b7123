package api

import (
	"context"
	"net/url"

	"github.com/berthdev/berth/tailnet/wire"
)

// AnyConnectionInfo asks how to reach agents, before it is known which.
func (c *Client) AnyConnectionInfo(ctx context.Context) (ConnectionInfo, error) {
	var out ConnectionInfo
	return out, c.get(ctx, "/api/v2/workspaceagents/connection", &out)
}

// Tailnet opens the tailnet service for all agents that the user may reach;
// servers of before 2024 lack it (404). Otherwise it is as Coordinate.
func (c *Client) Tailnet(ctx context.Context, resumeToken string) (*wire.Conn, error) {
	q := url.Values{"version": {"2.0"}}
	if resumeToken != "" {
		q.Set("resume_token", resumeToken)
	}
	return c.dialRPC(ctx, "/api/v2/tailnet?"+q.Encode())
}
