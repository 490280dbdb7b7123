package api

import (
	"context"
	"net/http"
	"net/url"
)

// Users searches; query is as the search field of the server takes it ("status:active
// ada"). It gets a page: Count says whether there are more.
func (c *Client) Users(ctx context.Context, query string) (UsersResponse, error) {
	var out UsersResponse
	return out, c.get(ctx, "/api/v2/users?"+url.Values{"q": {query}}.Encode(), &out)
}

// CreateUser makes a user.
func (c *Client) CreateUser(ctx context.Context, req CreateUserRequest) (User, error) {
	var out User
	return out, c.post(ctx, "/api/v2/users", req, &out)
}

// DeleteUser deletes a user; 409 for one who has workspaces, and for the last
// owner.
func (c *Client) DeleteUser(ctx context.Context, user string) error {
	return c.call(ctx, http.MethodDelete, userPath(user), nil, nil)
}

// SuspendUser ends what a user does and refuses their keys; 409 for the last
// owner.
func (c *Client) SuspendUser(ctx context.Context, user string) (User, error) {
	return c.putUser(ctx, user, "/status/suspend", nil)
}

// ActivateUser undoes SuspendUser.
func (c *Client) ActivateUser(ctx context.Context, user string) (User, error) {
	return c.putUser(ctx, user, "/status/activate", nil)
}

// UpdateRoles replaces the roles of a user; 409 when nobody would be owner any
// more.
func (c *Client) UpdateRoles(ctx context.Context, user string, roles []string) (User, error) {
	return c.putUser(ctx, user, "/roles", UpdateRolesRequest{Roles: roles})
}

// UpdateProfile changes the names of a user.
func (c *Client) UpdateProfile(ctx context.Context, user string, req UpdateProfileRequest) (User, error) {
	return c.putUser(ctx, user, "/profile", req)
}

func (c *Client) putUser(ctx context.Context, user, path string, in any) (User, error) {
	var out User
	return out, c.call(ctx, http.MethodPut, userPath(user)+path, in, &out)
}

// UpdatePassword sets the password of a user, which ends their sessions.
func (c *Client) UpdatePassword(ctx context.Context, user string, req UpdatePasswordRequest) error {
	return c.call(ctx, http.MethodPut, userPath(user)+"/password", req, nil)
}

func userPath(user string) string { return "/api/v2/users/" + url.PathEscape(user) }
