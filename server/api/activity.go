package api

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// UpdateTTLRequest says how long a workspace runs after its start; nil is for
// ever.
type UpdateTTLRequest struct {
	TTLMillis *int64 `json:"ttl_ms"`
}

// ExtendRequest puts a deadline off.
type ExtendRequest struct {
	Deadline time.Time `json:"deadline"`
}

// Lease is somebody who wants a workspace to go on.
type Lease struct {
	ID        uuid.UUID `json:"id"`
	Holder    string    `json:"holder"`
	Reason    string    `json:"reason"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// LeaseRequest asks for a lease of so many seconds from now on, or for more of
// one. The server may give less.
type LeaseRequest struct {
	Seconds int64  `json:"seconds"`
	Reason  string `json:"reason,omitempty"`
}

// Extension is a deadline that was put off.
type Extension struct {
	CreatedAt time.Time `json:"created_at"`
	Cause     string    `json:"cause"`
	Deadline  time.Time `json:"deadline"`
}

// Activity is what keeps a workspace up; the newest extension is the first.
type Activity struct {
	Leases     []Lease     `json:"leases"`
	Extensions []Extension `json:"extensions"`
}

// UpdateTTL sets how long a workspace runs after its start, 0 for ever.
func (c *Client) UpdateTTL(ctx context.Context, workspace uuid.UUID, ttl time.Duration) error {
	req := UpdateTTLRequest{}
	if millis := ttl.Milliseconds(); millis > 0 {
		req.TTLMillis = &millis
	}
	return c.call(ctx, http.MethodPut, "/api/v2/workspaces/"+workspace.String()+"/ttl", req, nil)
}

// Extend puts the deadline of a workspace off; an earlier one is left alone.
func (c *Client) Extend(ctx context.Context, workspace uuid.UUID, deadline time.Time) error {
	err := c.call(ctx, http.MethodPut, "/api/v2/workspaces/"+workspace.String()+"/extend", ExtendRequest{deadline}, nil)
	if StatusCode(err) == http.StatusNotModified {
		return nil
	}
	return err
}

// Activity says what keeps a workspace up.
func (c *Client) Activity(ctx context.Context, workspace uuid.UUID) (Activity, error) {
	var out Activity
	return out, c.get(ctx, "/api/v2/workspaces/"+workspace.String()+"/activity", &out)
}

// Leases are those of one workspace: see Client.WorkspaceLeases and
// Client.AgentLeases.
type Leases struct {
	c    *Client
	path string
}

// WorkspaceLeases are taken by a user.
func (c *Client) WorkspaceLeases(workspace uuid.UUID) Leases {
	return Leases{c, "/api/v2/workspaces/" + workspace.String() + "/leases"}
}

// AgentLeases are taken from within the workspace, with the agent's token.
func (c *Client) AgentLeases() Leases { return Leases{c, "/api/v2/workspaceagents/me/leases"} }

// Create takes a lease.
func (l Leases) Create(ctx context.Context, req LeaseRequest) (Lease, error) {
	var out Lease
	return out, l.c.post(ctx, l.path, req, &out)
}

// Renew asks for more of a lease; 404 when it has ended, 409 when it has lasted
// as long as one may.
func (l Leases) Renew(ctx context.Context, id uuid.UUID, req LeaseRequest) (Lease, error) {
	var out Lease
	return out, l.c.call(ctx, http.MethodPut, l.path+"/"+id.String(), req, &out)
}

// End ends a lease.
func (l Leases) End(ctx context.Context, id uuid.UUID) error {
	return l.c.call(ctx, http.MethodDelete, l.path+"/"+id.String(), nil, nil)
}
