package api

import (
	"context"
	"time"
)

// SSHConfig is the answer of GET /api/v2/deployment/ssh: how host names of
// workspaces are made.
type SSHConfig struct {
	HostnamePrefix   string            `json:"hostname_prefix"`
	HostnameSuffix   string            `json:"hostname_suffix"`
	SSHConfigOptions map[string]string `json:"ssh_config_options"`
}

// SSHConfig asks how host names of workspaces are made.
func (c *Client) SSHConfig(ctx context.Context) (SSHConfig, error) {
	var out SSHConfig
	return out, c.get(ctx, "/api/v2/deployment/ssh", &out)
}

// Appearance is the answer of GET /api/v2/appearance.
type Appearance struct {
	ApplicationName     string        `json:"application_name"`
	LogoURL             string        `json:"logo_url"`
	DocsURL             string        `json:"docs_url"`
	ServiceBanner       Banner        `json:"service_banner"`
	AnnouncementBanners []Banner      `json:"announcement_banners"`
	SupportLinks        []SupportLink `json:"support_links"`
}

// Banner is shown to every user.
type Banner struct {
	Enabled         bool   `json:"enabled"`
	Message         string `json:"message"`
	BackgroundColor string `json:"background_color"`
}

// SupportLink is shown in menus.
type SupportLink struct {
	Name   string `json:"name"`
	Target string `json:"target"`
	Icon   string `json:"icon"`
}

// Entitlements is the answer of GET /api/v2/entitlements.
type Entitlements struct {
	Features         map[string]Feature `json:"features"`
	Warnings         []string           `json:"warnings"`
	Errors           []string           `json:"errors"`
	HasLicense       bool               `json:"has_license"`
	Trial            bool               `json:"trial"`
	RequireTelemetry bool               `json:"require_telemetry"`
	RefreshedAt      time.Time          `json:"refreshed_at"`
}

// Feature says whether something may be used.
type Feature struct {
	Entitlement string `json:"entitlement"`
	Enabled     bool   `json:"enabled"`
	Limit       *int64 `json:"limit,omitempty"`
	Actual      *int64 `json:"actual,omitempty"`
}

// AppHost is the answer of GET /api/v2/applications/host; empty when apps have
// no host names of their own.
type AppHost struct {
	Host string `json:"host"`
}

// AuthMethods is the answer of GET /api/v2/users/authmethods.
type AuthMethods struct {
	TermsOfServiceURL string         `json:"terms_of_service_url,omitempty"`
	Password          AuthMethod     `json:"password"`
	Github            GithubAuth     `json:"github"`
	OIDC              OIDCAuthMethod `json:"oidc"`
}

// AuthMethod says whether one may sign in so.
type AuthMethod struct {
	Enabled bool `json:"enabled"`
}

// GithubAuth is the method of signing in by GitHub.
type GithubAuth struct {
	Enabled                   bool `json:"enabled"`
	DefaultProviderConfigured bool `json:"default_provider_configured"`
}

// OIDCAuthMethod is the method of signing in by OpenID Connect.
type OIDCAuthMethod struct {
	Enabled    bool   `json:"enabled"`
	SignInText string `json:"signInText"`
	IconURL    string `json:"iconUrl"`
}
