package api

import (
	"context"
	"io"
	"net/http"

	"github.com/google/uuid"
)

// Values of Workspace.AutomaticUpdates.
const (
	UpdateAlways = "always"
	UpdateNever  = "never"
)

// UpdateAutomaticUpdatesRequest says whether starts run the active version of
// the template.
type UpdateAutomaticUpdatesRequest struct {
	AutomaticUpdates string `json:"automatic_updates"`
}

// UpdateAutomaticUpdates takes UpdateAlways or UpdateNever.
func (c *Client) UpdateAutomaticUpdates(ctx context.Context, workspace uuid.UUID, updates string) error {
	return c.call(ctx, http.MethodPut, workspacePath(workspace)+"/autoupdates", UpdateAutomaticUpdatesRequest{updates}, nil)
}

// SetFavorite says whether the caller likes its workspace best; 403 for that of
// another user.
func (c *Client) SetFavorite(ctx context.Context, workspace uuid.UUID, favorite bool) error {
	method := http.MethodDelete
	if favorite {
		method = http.MethodPut
	}
	return c.call(ctx, method, workspacePath(workspace)+"/favorite", nil, nil)
}

func workspacePath(id uuid.UUID) string { return "/api/v2/workspaces/" + id.String() }

// UpdateBuildStateRequest replaces the state of a build.
type UpdateBuildStateRequest struct {
	State []byte `json:"state"`
}

// BuildState returns what Terraform knew after a build; none for a template that
// keeps none. It is for owners of the site.
func (c *Client) BuildState(ctx context.Context, build uuid.UUID) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	res, err := c.request(ctx, http.MethodGet, statePath(build), nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, responseError(res)
	}
	return io.ReadAll(http.MaxBytesReader(nil, res.Body, maxBody))
}

// SetBuildState replaces the state of a build without a build; 409 while it is
// active.
func (c *Client) SetBuildState(ctx context.Context, build uuid.UUID, state []byte) error {
	return c.call(ctx, http.MethodPut, statePath(build), UpdateBuildStateRequest{state}, nil)
}

func statePath(build uuid.UUID) string { return "/api/v2/workspacebuilds/" + build.String() + "/state" }
