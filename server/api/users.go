package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// BuildInfo is the answer of GET /api/v2/buildinfo.
type BuildInfo struct {
	ExternalURL           string `json:"external_url"`
	Version               string `json:"version"`
	DashboardURL          string `json:"dashboard_url"`
	Telemetry             bool   `json:"telemetry"`
	WorkspaceProxy        bool   `json:"workspace_proxy"`
	AgentAPIVersion       string `json:"agent_api_version"`
	ProvisionerAPIVersion string `json:"provisioner_api_version"`
	UpgradeMessage        string `json:"upgrade_message"`
	DeploymentID          string `json:"deployment_id"`
}

// BuildInfo asks for the server's version; it needs no token.
func (c *Client) BuildInfo(ctx context.Context) (BuildInfo, error) {
	var out BuildInfo
	return out, c.get(ctx, "/api/v2/buildinfo", &out)
}

// UserStatus says whether a user may sign in.
type UserStatus string

// The states of a user: a dormant one becomes active by signing in, a
// suspended one is refused.
const (
	UserActive    UserStatus = "active"
	UserDormant   UserStatus = "dormant"
	UserSuspended UserStatus = "suspended"
)

// LoginType says how a user or a key came to be signed in.
type LoginType string

// The login types of users; LoginToken is that of API tokens.
const (
	LoginPassword LoginType = "password"
	LoginGithub   LoginType = "github"
	LoginOIDC     LoginType = "oidc"
	LoginToken    LoginType = "token"
	LoginNone     LoginType = "none"
)

// User is an account.
type User struct {
	ID              uuid.UUID   `json:"id"`
	Username        string      `json:"username"`
	Name            string      `json:"name,omitempty"`
	Email           string      `json:"email"`
	AvatarURL       string      `json:"avatar_url,omitempty"`
	CreatedAt       time.Time   `json:"created_at"`
	UpdatedAt       time.Time   `json:"updated_at"`
	LastSeenAt      time.Time   `json:"last_seen_at"`
	Status          UserStatus  `json:"status"`
	LoginType       LoginType   `json:"login_type"`
	OrganizationIDs []uuid.UUID `json:"organization_ids"`
	Roles           []Role      `json:"roles"`
}

// Role is a role as users carry it.
type Role struct {
	Name           string `json:"name"`
	DisplayName    string `json:"display_name"`
	OrganizationID string `json:"organization_id,omitempty"`
}

// MinimalUser names a user inside another entity.
type MinimalUser struct {
	ID        uuid.UUID `json:"id"`
	Username  string    `json:"username"`
	Name      string    `json:"name,omitempty"`
	AvatarURL string    `json:"avatar_url,omitempty"`
}

// Organization groups users and templates; there is one, the default.
type Organization struct {
	ID          uuid.UUID `json:"id"`
	Name        string    `json:"name"`
	DisplayName string    `json:"display_name"`
	Description string    `json:"description"`
	Icon        string    `json:"icon"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	IsDefault   bool      `json:"is_default"`
}

// CreateUserRequest makes a user. An empty LoginType means password, which then
// must be given; an empty UserStatus means dormant: not seen yet.
type CreateUserRequest struct {
	Email           string      `json:"email"`
	Username        string      `json:"username"`
	Name            string      `json:"name,omitempty"`
	Password        string      `json:"password,omitempty"`
	LoginType       LoginType   `json:"login_type,omitempty"`
	OrganizationIDs []uuid.UUID `json:"organization_ids"`
	UserStatus      UserStatus  `json:"user_status,omitempty"`
}

// UpdateProfileRequest changes the names of a user.
type UpdateProfileRequest struct {
	Username string `json:"username"`
	Name     string `json:"name"`
}

// UpdateRolesRequest replaces the roles of a user.
type UpdateRolesRequest struct {
	Roles []string `json:"roles"`
}

// UpdatePasswordRequest sets a password. The old one is for users themselves.
type UpdatePasswordRequest struct {
	OldPassword string `json:"old_password,omitempty"`
	Password    string `json:"password"`
}

// Organization asks by id or name; "default" is the one that there is.
func (c *Client) Organization(ctx context.Context, organization string) (Organization, error) {
	var out Organization
	return out, c.get(ctx, "/api/v2/organizations/"+url.PathEscape(organization), &out)
}

// MessageNotActive begins the message of the 401 that a suspended user gets, on
// every call. A client that sees it may end what goes on without the server.
const MessageNotActive = "User is not active"

// Me is the name by which a caller means itself.
const Me = "me"

// User asks for a user by id or name, or Me.
func (c *Client) User(ctx context.Context, user string) (User, error) {
	var out User
	return out, c.get(ctx, "/api/v2/users/"+url.PathEscape(user), &out)
}

// HasFirstUser reports whether the server was set up.
func (c *Client) HasFirstUser(ctx context.Context) (bool, error) {
	err := c.get(ctx, "/api/v2/users/first", nil)
	if StatusCode(err) == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// CreateFirstUserRequest sets a server up.
type CreateFirstUserRequest struct {
	Email    string `json:"email"`
	Username string `json:"username"`
	Name     string `json:"name,omitempty"`
	Password string `json:"password"`
	Trial    bool   `json:"trial"`
}

// CreateFirstUserResponse names what was made.
type CreateFirstUserResponse struct {
	UserID         uuid.UUID `json:"user_id"`
	OrganizationID uuid.UUID `json:"organization_id"`
}

// CreateFirstUser makes the first user, an owner. It fails with 409 when there
// is one.
func (c *Client) CreateFirstUser(ctx context.Context, req CreateFirstUserRequest) (CreateFirstUserResponse, error) {
	var out CreateFirstUserResponse
	return out, c.post(ctx, "/api/v2/users/first", req, &out)
}

// LoginRequest signs in with a password.
type LoginRequest struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// LoginResponse carries the token of a new session.
type LoginResponse struct {
	SessionToken string `json:"session_token"`
}

// Login signs in with a password; 401 for a wrong one and for an unknown user.
func (c *Client) Login(ctx context.Context, req LoginRequest) (LoginResponse, error) {
	var out LoginResponse
	return out, c.post(ctx, "/api/v2/users/login", req, &out)
}

// Logout ends the session of the client's token.
func (c *Client) Logout(ctx context.Context) error {
	return c.post(ctx, "/api/v2/users/logout", nil, nil)
}

// APIKey describes a key; its secret is never told again.
type APIKey struct {
	ID              string    `json:"id"`
	UserID          uuid.UUID `json:"user_id"`
	LastUsed        time.Time `json:"last_used"`
	ExpiresAt       time.Time `json:"expires_at"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
	LoginType       LoginType `json:"login_type"`
	Scope           string    `json:"scope"`
	Scopes          []string  `json:"scopes"`
	TokenName       string    `json:"token_name"`
	LifetimeSeconds int64     `json:"lifetime_seconds"`
	Username        string    `json:"username,omitempty"`
}

// CreateTokenRequest makes a named API token. A zero Lifetime means the
// server's default.
type CreateTokenRequest struct {
	Lifetime  time.Duration `json:"lifetime"`
	Scope     string        `json:"scope,omitempty"`
	TokenName string        `json:"token_name"`
}

// GenerateKeyResponse carries a new token, once.
type GenerateKeyResponse struct {
	Key string `json:"key"`
}

// CreateSessionKey makes a key for the command line or an editor.
func (c *Client) CreateSessionKey(ctx context.Context, user string) (GenerateKeyResponse, error) {
	var out GenerateKeyResponse
	return out, c.post(ctx, "/api/v2/users/"+url.PathEscape(user)+"/keys", nil, &out)
}

// CreateToken makes a named API token.
func (c *Client) CreateToken(ctx context.Context, user string, req CreateTokenRequest) (GenerateKeyResponse, error) {
	var out GenerateKeyResponse
	return out, c.post(ctx, "/api/v2/users/"+url.PathEscape(user)+"/keys/tokens", req, &out)
}

// Tokens lists the named API tokens of a user, or of all for those who may see
// them.
func (c *Client) Tokens(ctx context.Context, user string, all bool) ([]APIKey, error) {
	var out []APIKey
	path := "/api/v2/users/" + url.PathEscape(user) + "/keys/tokens"
	if all {
		path += "?include_all=true"
	}
	return out, c.get(ctx, path, &out)
}

// DeleteKey revokes a key or token by id.
func (c *Client) DeleteKey(ctx context.Context, user, id string) error {
	return c.call(ctx, http.MethodDelete, "/api/v2/users/"+url.PathEscape(user)+"/keys/"+url.PathEscape(id), nil, nil)
}

// UsersResponse is a page of users; Count is the total without paging.
type UsersResponse struct {
	Users []User `json:"users"`
	Count int    `json:"count"`
}

// LoginTypeResponse is the answer of GET /api/v2/users/{user}/login-type.
type LoginTypeResponse struct {
	LoginType LoginType `json:"login_type"`
}

// TokenConfig bounds the API tokens of a user.
type TokenConfig struct {
	MaxTokenLifetime time.Duration `json:"max_token_lifetime"`
}

// ValidatePasswordRequest asks whether a password would be taken.
type ValidatePasswordRequest struct {
	Password string `json:"password"`
}

// ValidatePasswordResponse says what is wrong with it.
type ValidatePasswordResponse struct {
	Valid   bool   `json:"valid"`
	Details string `json:"details"`
}
