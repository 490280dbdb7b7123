package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// TemplateBYO is the built-in template for machines that exist already: no
// infrastructure, one agent, a command to paste.
const TemplateBYO = "byo"

// Template is what workspaces are made from.
type Template struct {
	ID                           uuid.UUID                  `json:"id"`
	CreatedAt                    time.Time                  `json:"created_at"`
	UpdatedAt                    time.Time                  `json:"updated_at"`
	OrganizationID               uuid.UUID                  `json:"organization_id"`
	OrganizationName             string                     `json:"organization_name"`
	OrganizationDisplayName      string                     `json:"organization_display_name"`
	OrganizationIcon             string                     `json:"organization_icon"`
	Name                         string                     `json:"name"`
	DisplayName                  string                     `json:"display_name"`
	Provisioner                  string                     `json:"provisioner"`
	ActiveVersionID              uuid.UUID                  `json:"active_version_id"`
	ActiveUserCount              int                        `json:"active_user_count"`
	BuildTimeStats               map[Transition]Percentiles `json:"build_time_stats"`
	Deleted                      bool                       `json:"deleted"`
	Description                  string                     `json:"description"`
	Deprecated                   bool                       `json:"deprecated"`
	DeprecationMessage           string                     `json:"deprecation_message"`
	Icon                         string                     `json:"icon"`
	DefaultTTLMillis             int64                      `json:"default_ttl_ms"`
	ActivityBumpMillis           int64                      `json:"activity_bump_ms"`
	MaxLeaseMillis               int64                      `json:"max_lease_ms"` // ours: how long one lease may last
	AutostopRequirement          AutostopRequirement        `json:"autostop_requirement"`
	AutostartRequirement         AutostartRequirement       `json:"autostart_requirement"`
	CreatedByID                  uuid.UUID                  `json:"created_by_id"`
	CreatedByName                string                     `json:"created_by_name"`
	AllowUserAutostart           bool                       `json:"allow_user_autostart"`
	AllowUserAutostop            bool                       `json:"allow_user_autostop"`
	AllowUserCancelWorkspaceJobs bool                       `json:"allow_user_cancel_workspace_jobs"`
	FailureTTLMillis             int64                      `json:"failure_ttl_ms"`
	TimeTilDormantMillis         int64                      `json:"time_til_dormant_ms"`
	TimeTilDormantDeleteMillis   int64                      `json:"time_til_dormant_autodelete_ms"`
	RequireActiveVersion         bool                       `json:"require_active_version"`
	MaxPortShareLevel            string                     `json:"max_port_share_level"`
	CORSBehavior                 string                     `json:"cors_behavior"`
	UseClassicParameterFlow      bool                       `json:"use_classic_parameter_flow"`
	DisableModuleCache           bool                       `json:"disable_module_cache"`
	AgentsAllowed                bool                       `json:"agents_allowed"`
}

// Percentiles are build times in milliseconds; null while unknown.
type Percentiles struct {
	P50 *int64 `json:"P50"`
	P95 *int64 `json:"P95"`
}

// AutostopRequirement names the days on which workspaces must stop.
type AutostopRequirement struct {
	DaysOfWeek []string `json:"days_of_week"`
	Weeks      int64    `json:"weeks"`
}

// AutostartRequirement names the days on which workspaces may start.
type AutostartRequirement struct {
	DaysOfWeek []string `json:"days_of_week"`
}

// TemplateVersion is what a build runs.
type TemplateVersion struct {
	ID                  uuid.UUID           `json:"id"`
	TemplateID          *uuid.UUID          `json:"template_id,omitempty"`
	OrganizationID      uuid.UUID           `json:"organization_id"`
	CreatedAt           time.Time           `json:"created_at"`
	UpdatedAt           time.Time           `json:"updated_at"`
	Name                string              `json:"name"`
	Message             string              `json:"message"`
	Job                 Job                 `json:"job"`
	Readme              string              `json:"readme"`
	CreatedBy           MinimalUser         `json:"created_by"`
	Archived            bool                `json:"archived"`
	Warnings            []string            `json:"warnings,omitempty"`
	MatchedProvisioners MatchedProvisioners `json:"matched_provisioners"`
	HasExternalAgent    bool                `json:"has_external_agent"`
}

// TemplateVersions lists the versions of a template, the newest last.
func (c *Client) TemplateVersions(ctx context.Context, template uuid.UUID) ([]TemplateVersion, error) {
	var out []TemplateVersion
	return out, c.get(ctx, "/api/v2/templates/"+template.String()+"/versions", &out)
}

// TemplateParameters lists the parameters of a template version.
func (c *Client) TemplateParameters(ctx context.Context, version uuid.UUID) ([]TemplateParameter, error) {
	var out []TemplateParameter
	return out, c.get(ctx, "/api/v2/templateversions/"+version.String()+"/rich-parameters", &out)
}

// Templates lists the templates the caller may use.
func (c *Client) Templates(ctx context.Context) ([]Template, error) {
	var out []Template
	return out, c.get(ctx, "/api/v2/templates", &out)
}

// TemplateByName asks for a template of an organization (id, name or
// "default").
func (c *Client) TemplateByName(ctx context.Context, organization, name string) (Template, error) {
	var out Template
	return out, c.get(ctx, "/api/v2/organizations/"+url.PathEscape(organization)+"/templates/"+url.PathEscape(name), &out)
}

// UpdateTemplateRequest changes a template; what is nil stays.
type UpdateTemplateRequest struct {
	ActivityBumpMillis *int64 `json:"activity_bump_ms,omitempty"`
	MaxLeaseMillis     *int64 `json:"max_lease_ms,omitempty"`
}

// UpdateTemplate changes a template and returns what it is then.
func (c *Client) UpdateTemplate(ctx context.Context, id uuid.UUID, req UpdateTemplateRequest) (Template, error) {
	var out Template
	return out, c.call(ctx, http.MethodPatch, "/api/v2/templates/"+id.String(), req, &out)
}

// TemplateParameter is something that a user may say about a workspace.
type TemplateParameter struct {
	Name                 string     `json:"name"`
	DisplayName          string     `json:"display_name,omitempty"`
	Description          string     `json:"description"`
	DescriptionPlaintext string     `json:"description_plaintext"`
	Type                 string     `json:"type"`
	FormType             string     `json:"form_type"`
	Mutable              bool       `json:"mutable"`
	DefaultValue         string     `json:"default_value"`
	Icon                 string     `json:"icon"`
	Options              []struct{} `json:"options"`
	Required             bool       `json:"required"`
	Ephemeral            bool       `json:"ephemeral"`
}
