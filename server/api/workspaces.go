package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// Transition is what a build does to a workspace.
type Transition string

// The transitions.
const (
	TransitionStart  Transition = "start"
	TransitionStop   Transition = "stop"
	TransitionDelete Transition = "delete"
)

// BuildStatus is the state of a workspace, derived from its latest build.
type BuildStatus string

// The states of a build.
const (
	BuildPending   BuildStatus = "pending"
	BuildStarting  BuildStatus = "starting"
	BuildRunning   BuildStatus = "running"
	BuildStopping  BuildStatus = "stopping"
	BuildStopped   BuildStatus = "stopped"
	BuildFailed    BuildStatus = "failed"
	BuildCanceling BuildStatus = "canceling"
	BuildCanceled  BuildStatus = "canceled"
	BuildDeleting  BuildStatus = "deleting"
	BuildDeleted   BuildStatus = "deleted"
)

// JobStatus is the state of a provisioner job.
type JobStatus string

// The states of a job.
const (
	JobPending   JobStatus = "pending"
	JobRunning   JobStatus = "running"
	JobSucceeded JobStatus = "succeeded"
	JobCanceling JobStatus = "canceling"
	JobCanceled  JobStatus = "canceled"
	JobFailed    JobStatus = "failed"
)

// Workspace is what a user owns.
type Workspace struct {
	ID                                   uuid.UUID  `json:"id"`
	CreatedAt                            time.Time  `json:"created_at"`
	UpdatedAt                            time.Time  `json:"updated_at"`
	OwnerID                              uuid.UUID  `json:"owner_id"`
	OwnerName                            string     `json:"owner_name"`
	OwnerAvatarURL                       string     `json:"owner_avatar_url"`
	OrganizationID                       uuid.UUID  `json:"organization_id"`
	OrganizationName                     string     `json:"organization_name"`
	TemplateID                           uuid.UUID  `json:"template_id"`
	TemplateName                         string     `json:"template_name"`
	TemplateDisplayName                  string     `json:"template_display_name"`
	TemplateIcon                         string     `json:"template_icon"`
	TemplateAllowUserCancelWorkspaceJobs bool       `json:"template_allow_user_cancel_workspace_jobs"`
	TemplateActiveVersionID              uuid.UUID  `json:"template_active_version_id"`
	TemplateRequireActiveVersion         bool       `json:"template_require_active_version"`
	TemplateUseClassicParameterFlow      bool       `json:"template_use_classic_parameter_flow"`
	LatestBuild                          Build      `json:"latest_build"`
	LatestAppStatus                      *struct{}  `json:"latest_app_status"`
	Outdated                             bool       `json:"outdated"`
	Name                                 string     `json:"name"`
	AutostartSchedule                    *string    `json:"autostart_schedule,omitempty"`
	TTLMillis                            *int64     `json:"ttl_ms,omitempty"`
	LastUsedAt                           time.Time  `json:"last_used_at"`
	DeletingAt                           *time.Time `json:"deleting_at"`
	DormantAt                            *time.Time `json:"dormant_at"`
	Health                               Health     `json:"health"`
	AutomaticUpdates                     string     `json:"automatic_updates"`
	AllowRenames                         bool       `json:"allow_renames"`
	Favorite                             bool       `json:"favorite"`
	NextStartAt                          *time.Time `json:"next_start_at"`
	IsPrebuild                           bool       `json:"is_prebuild"`
}

// Health sums up the agents of a workspace.
type Health struct {
	Healthy       bool        `json:"healthy"`
	FailingAgents []uuid.UUID `json:"failing_agents"`
}

// Build is one start, stop or delete of a workspace.
type Build struct {
	ID                      uuid.UUID           `json:"id"`
	CreatedAt               time.Time           `json:"created_at"`
	UpdatedAt               time.Time           `json:"updated_at"`
	WorkspaceID             uuid.UUID           `json:"workspace_id"`
	WorkspaceName           string              `json:"workspace_name"`
	WorkspaceOwnerID        uuid.UUID           `json:"workspace_owner_id"`
	WorkspaceOwnerName      string              `json:"workspace_owner_name"`
	WorkspaceOwnerAvatarURL string              `json:"workspace_owner_avatar_url"`
	TemplateVersionID       uuid.UUID           `json:"template_version_id"`
	TemplateVersionName     string              `json:"template_version_name"`
	BuildNumber             int64               `json:"build_number"`
	Transition              Transition          `json:"transition"`
	InitiatorID             uuid.UUID           `json:"initiator_id"`
	InitiatorName           string              `json:"initiator_name"`
	Job                     Job                 `json:"job"`
	Reason                  string              `json:"reason"`
	Resources               []Resource          `json:"resources"`
	Deadline                *time.Time          `json:"deadline"`
	MaxDeadline             *time.Time          `json:"max_deadline"`
	Status                  BuildStatus         `json:"status"`
	DailyCost               int                 `json:"daily_cost"`
	MatchedProvisioners     MatchedProvisioners `json:"matched_provisioners"`
	TemplateVersionPresetID *uuid.UUID          `json:"template_version_preset_id"`
	HasAITask               bool                `json:"has_ai_task"`
	HasExternalAgent        bool                `json:"has_external_agent"`
}

// MatchedProvisioners counts the workers that can take a job.
type MatchedProvisioners struct {
	Count            int        `json:"count"`
	Available        int        `json:"available"`
	MostRecentlySeen *time.Time `json:"most_recently_seen"`
}

// Job is the work behind a build or a template version.
type Job struct {
	ID               uuid.UUID         `json:"id"`
	CreatedAt        time.Time         `json:"created_at"`
	StartedAt        *time.Time        `json:"started_at,omitempty"`
	CompletedAt      *time.Time        `json:"completed_at,omitempty"`
	CanceledAt       *time.Time        `json:"canceled_at,omitempty"`
	Error            string            `json:"error,omitempty"`
	ErrorCode        string            `json:"error_code,omitempty"`
	Status           JobStatus         `json:"status"`
	WorkerID         *uuid.UUID        `json:"worker_id,omitempty"`
	WorkerName       string            `json:"worker_name,omitempty"`
	FileID           uuid.UUID         `json:"file_id"`
	Tags             map[string]string `json:"tags"`
	QueuePosition    int               `json:"queue_position"`
	QueueSize        int               `json:"queue_size"`
	OrganizationID   uuid.UUID         `json:"organization_id"`
	InitiatorID      uuid.UUID         `json:"initiator_id"`
	Input            JobInput          `json:"input"`
	Type             string            `json:"type"`
	Metadata         JobMetadata       `json:"metadata"`
	AvailableWorkers []uuid.UUID       `json:"available_workers,omitempty"`
	LogsOverflowed   bool              `json:"logs_overflowed"`
}

// JobInput names what a job is for.
type JobInput struct {
	TemplateVersionID *uuid.UUID `json:"template_version_id,omitempty"`
	WorkspaceBuildID  *uuid.UUID `json:"workspace_build_id,omitempty"`
	Error             string     `json:"error,omitempty"`
}

// JobMetadata names what a job is for, for people.
type JobMetadata struct {
	TemplateVersionName string     `json:"template_version_name"`
	TemplateID          *uuid.UUID `json:"template_id,omitempty"`
	TemplateName        string     `json:"template_name"`
	TemplateDisplayName string     `json:"template_display_name"`
	TemplateIcon        string     `json:"template_icon"`
	WorkspaceID         *uuid.UUID `json:"workspace_id,omitempty"`
	WorkspaceName       string     `json:"workspace_name,omitempty"`
}

// Resource is what a build made.
type Resource struct {
	ID                  uuid.UUID          `json:"id"`
	CreatedAt           time.Time          `json:"created_at"`
	JobID               uuid.UUID          `json:"job_id"`
	WorkspaceTransition Transition         `json:"workspace_transition"`
	Type                string             `json:"type"`
	Name                string             `json:"name"`
	Hide                bool               `json:"hide"`
	Icon                string             `json:"icon"`
	Agents              []Agent            `json:"agents,omitempty"`
	Metadata            []ResourceMetadata `json:"metadata,omitempty"`
	DailyCost           int                `json:"daily_cost"`
}

// ResourceMetadata is shown beside a resource.
type ResourceMetadata struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Sensitive bool   `json:"sensitive"`
}

// WorkspacesResponse is a page of workspaces; Count is the total without
// paging.
type WorkspacesResponse struct {
	Workspaces []Workspace `json:"workspaces"`
	Count      int         `json:"count"`
}

// Workspaces searches; query is as the server's search field takes it
// ("owner:me name"). A limit of 0 means no limit.
func (c *Client) Workspaces(ctx context.Context, query string, limit int) (WorkspacesResponse, error) {
	q := url.Values{"q": {query}}
	if limit > 0 {
		q.Set("limit", fmt.Sprint(limit))
	}
	var out WorkspacesResponse
	return out, c.get(ctx, "/api/v2/workspaces?"+q.Encode(), &out)
}

// Workspace asks by id.
func (c *Client) Workspace(ctx context.Context, id uuid.UUID) (Workspace, error) {
	var out Workspace
	return out, c.get(ctx, "/api/v2/workspaces/"+id.String(), &out)
}

// WorkspaceByName asks for one that is not deleted; owner may be Me.
func (c *Client) WorkspaceByName(ctx context.Context, owner, name string) (Workspace, error) {
	var out Workspace
	return out, c.get(ctx, "/api/v2/users/"+url.PathEscape(owner)+"/workspace/"+url.PathEscape(name), &out)
}

// CreateWorkspaceRequest makes a workspace and its first build. Exactly one of
// TemplateID and TemplateVersionID is set.
type CreateWorkspaceRequest struct {
	TemplateID          *uuid.UUID       `json:"template_id,omitempty"`
	TemplateVersionID   *uuid.UUID       `json:"template_version_id,omitempty"`
	Name                string           `json:"name"`
	AutostartSchedule   *string          `json:"autostart_schedule,omitempty"`
	TTLMillis           *int64           `json:"ttl_ms,omitempty"`
	RichParameterValues []BuildParameter `json:"rich_parameter_values,omitempty"`
	AutomaticUpdates    string           `json:"automatic_updates,omitempty"`
}

// BuildParameter is a value that a user gave to a template's parameter.
type BuildParameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// CreateWorkspace makes a workspace for user.
func (c *Client) CreateWorkspace(ctx context.Context, user string, req CreateWorkspaceRequest) (Workspace, error) {
	var out Workspace
	return out, c.post(ctx, "/api/v2/users/"+url.PathEscape(user)+"/workspaces", req, &out)
}

// CreateBuildRequest starts, stops or deletes a workspace. A nil
// TemplateVersionID means that of the latest build.
type CreateBuildRequest struct {
	Transition          Transition       `json:"transition"`
	TemplateVersionID   *uuid.UUID       `json:"template_version_id,omitempty"`
	DryRun              bool             `json:"dry_run,omitempty"`
	State               []byte           `json:"state,omitempty"`
	Orphan              bool             `json:"orphan,omitempty"`
	RichParameterValues []BuildParameter `json:"rich_parameter_values,omitempty"`
	LogLevel            string           `json:"log_level,omitempty"`
	Reason              string           `json:"reason,omitempty"`
}

// CreateBuild starts a build; 409 while another is active.
func (c *Client) CreateBuild(ctx context.Context, workspace uuid.UUID, req CreateBuildRequest) (Build, error) {
	var out Build
	return out, c.post(ctx, "/api/v2/workspaces/"+workspace.String()+"/builds", req, &out)
}

// Build asks for a build by id.
func (c *Client) Build(ctx context.Context, id uuid.UUID) (Build, error) {
	var out Build
	return out, c.get(ctx, "/api/v2/workspacebuilds/"+id.String(), &out)
}

// BuildParameters lists the values that parameters had in a build.
func (c *Client) BuildParameters(ctx context.Context, id uuid.UUID) ([]BuildParameter, error) {
	var out []BuildParameter
	return out, c.get(ctx, "/api/v2/workspacebuilds/"+id.String()+"/parameters", &out)
}

// UsageRequest says what a workspace is used through; both fields or none.
type UsageRequest struct {
	AgentID *uuid.UUID `json:"agent_id,omitempty"`
	AppName string     `json:"app_name,omitempty"`
}

// BuildByNumber returns a build of a workspace: 1, 2, 3.
func (c *Client) BuildByNumber(ctx context.Context, owner, workspace string, number int64) (Build, error) {
	var out Build
	return out, c.get(ctx, fmt.Sprintf("/api/v2/users/%s/workspace/%s/builds/%d", url.PathEscape(owner), url.PathEscape(workspace), number), &out)
}

// ReportUsage tells that the workspace is in use.
func (c *Client) ReportUsage(ctx context.Context, workspace uuid.UUID, req UsageRequest) error {
	return c.post(ctx, "/api/v2/workspaces/"+workspace.String()+"/usage", req, nil)
}

// UpdateWorkspaceRequest renames a workspace.
type UpdateWorkspaceRequest struct {
	Name string `json:"name,omitempty"`
}

// RenameWorkspace gives a workspace another name.
func (c *Client) RenameWorkspace(ctx context.Context, workspace uuid.UUID, name string) error {
	return c.call(ctx, http.MethodPatch, "/api/v2/workspaces/"+workspace.String(), UpdateWorkspaceRequest{Name: name}, nil)
}

// JobLog is a line of a job's log.
type JobLog struct {
	ID        int64     `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	LogSource string    `json:"log_source"`
	LogLevel  string    `json:"log_level"`
	Stage     string    `json:"stage"`
	Output    string    `json:"output"`
}

// StreamEvent is a frame of the WebSocket form of an event stream. Type is
// "data" or "error"; the Data of an error is a Response.
type StreamEvent struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}
