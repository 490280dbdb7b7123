package api

import (
	"context"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/tailnet/derpmap"
	"github.com/berthdev/berth/tailnet/wire"
)

// AgentStatus says whether an agent is in contact with the server.
type AgentStatus string

// The states of contact.
const (
	AgentConnecting   AgentStatus = "connecting"
	AgentConnected    AgentStatus = "connected"
	AgentDisconnected AgentStatus = "disconnected"
	AgentTimeout      AgentStatus = "timeout"
)

// DetailAgentTokenDead is the detail of the 401 that an agent gets whose token
// can never work again: its workspace was deleted or rebuilt with another token. An agent
// that sees it ends; a token that is only unknown is tried again, because a
// workspace can start before its build has ended.
const DetailAgentTokenDead = "The workspace of this agent token was deleted or rebuilt."

// ReasonAgentReplaced begins the reason with which the server closes an
// agent's WebSocket when a newer connection used the same token.
const ReasonAgentReplaced = "replaced by a newer connection"

// AgentLifecycle is how far an agent is with its start or stop.
type AgentLifecycle string

// The lifecycle states, in their order.
const (
	LifecycleCreated         AgentLifecycle = "created"
	LifecycleStarting        AgentLifecycle = "starting"
	LifecycleStartTimeout    AgentLifecycle = "start_timeout"
	LifecycleStartError      AgentLifecycle = "start_error"
	LifecycleReady           AgentLifecycle = "ready"
	LifecycleShuttingDown    AgentLifecycle = "shutting_down"
	LifecycleShutdownTimeout AgentLifecycle = "shutdown_timeout"
	LifecycleShutdownError   AgentLifecycle = "shutdown_error"
	LifecycleOff             AgentLifecycle = "off"
)

// Agent is the process in a workspace.
type Agent struct {
	ID                       uuid.UUID             `json:"id"`
	ParentID                 *uuid.UUID            `json:"parent_id"`
	CreatedAt                time.Time             `json:"created_at"`
	UpdatedAt                time.Time             `json:"updated_at"`
	FirstConnectedAt         *time.Time            `json:"first_connected_at,omitempty"`
	LastConnectedAt          *time.Time            `json:"last_connected_at,omitempty"`
	DisconnectedAt           *time.Time            `json:"disconnected_at,omitempty"`
	StartedAt                *time.Time            `json:"started_at,omitempty"`
	ReadyAt                  *time.Time            `json:"ready_at,omitempty"`
	Status                   AgentStatus           `json:"status"`
	LifecycleState           AgentLifecycle        `json:"lifecycle_state"`
	Name                     string                `json:"name"`
	ResourceID               uuid.UUID             `json:"resource_id"`
	InstanceID               string                `json:"instance_id,omitempty"`
	Architecture             string                `json:"architecture"`
	EnvironmentVariables     map[string]string     `json:"environment_variables"`
	OperatingSystem          string                `json:"operating_system"`
	LogsLength               int64                 `json:"logs_length"`
	LogsOverflowed           bool                  `json:"logs_overflowed"`
	Directory                string                `json:"directory,omitempty"`
	ExpandedDirectory        string                `json:"expanded_directory,omitempty"`
	Version                  string                `json:"version"`
	APIVersion               string                `json:"api_version"`
	Apps                     []App                 `json:"apps"`
	Latency                  map[string]DERPRegion `json:"latency,omitempty"`
	ConnectionTimeoutSeconds int                   `json:"connection_timeout_seconds"`
	TroubleshootingURL       string                `json:"troubleshooting_url"`
	Subsystems               []string              `json:"subsystems"`
	Health                   AgentHealth           `json:"health"`
	DisplayApps              []string              `json:"display_apps"`
	LogSources               []LogSource           `json:"log_sources"`
	Scripts                  []Script              `json:"scripts"`
	StartupScriptBehavior    string                `json:"startup_script_behavior"`
}

// App is a URL or command of a workspace.
type App struct {
	ID            uuid.UUID `json:"id"`
	URL           string    `json:"url,omitempty"`
	External      bool      `json:"external"`
	Slug          string    `json:"slug"`
	DisplayName   string    `json:"display_name,omitempty"`
	Command       string    `json:"command,omitempty"`
	Icon          string    `json:"icon,omitempty"`
	Subdomain     bool      `json:"subdomain"`
	SubdomainName string    `json:"subdomain_name,omitempty"`
	SharingLevel  string    `json:"sharing_level"`
	Health        string    `json:"health"`
	Hidden        bool      `json:"hidden"`
	OpenIn        string    `json:"open_in"`
	Group         string    `json:"group,omitempty"`

	Healthcheck Healthcheck `json:"healthcheck"`
	Statuses    []AppStatus `json:"statuses"` // the last one, if there is any
}

// AppStatus is what a task that is an App says of itself: working, idle, complete
// or failure.
type AppStatus struct {
	ID                 uuid.UUID `json:"id"`
	CreatedAt          time.Time `json:"created_at"`
	WorkspaceID        uuid.UUID `json:"workspace_id"`
	AgentID            uuid.UUID `json:"agent_id"`
	AppID              uuid.UUID `json:"app_id"`
	State              string    `json:"state"`
	Message            string    `json:"message"`
	URI                string    `json:"uri"`
	Icon               string    `json:"icon"`
	NeedsUserAttention bool      `json:"needs_user_attention"`
}

// PatchAppStatusRequest is how a task says it, with the agent's token.
type PatchAppStatusRequest struct {
	AppSlug            string `json:"app_slug"`
	State              string `json:"state"`
	Message            string `json:"message"`
	URI                string `json:"uri"`
	Icon               string `json:"icon,omitempty"`                 // accepted and ignored
	NeedsUserAttention bool   `json:"needs_user_attention,omitempty"` // accepted and ignored
}

// Healthcheck is how the health of an App is found out; an empty URL is not at
// all.
type Healthcheck struct {
	URL       string `json:"url"`
	Interval  int    `json:"interval"` // seconds
	Threshold int    `json:"threshold"`
}

// Metadata is a value that an agent finds out again and again.
type Metadata struct {
	Result      MetadataResult      `json:"result"`
	Description MetadataDescription `json:"description"`
}

// MetadataResult is what it found; the zero value is nothing yet.
type MetadataResult struct {
	CollectedAt time.Time `json:"collected_at"`
	Age         int64     `json:"age"` // seconds
	Value       string    `json:"value"`
	Error       string    `json:"error"`
}

// MetadataDescription is how it finds out; durations are in seconds.
type MetadataDescription struct {
	DisplayName string `json:"display_name"`
	Key         string `json:"key"`
	Script      string `json:"script"`
	Interval    int64  `json:"interval"`
	Timeout     int64  `json:"timeout"`
}

// DERPRegion is the latency of an agent to one relay region.
type DERPRegion struct {
	Preferred     bool    `json:"preferred"`
	LatencyMillis float64 `json:"latency_ms"`
}

// AgentHealth says why an agent is not well.
type AgentHealth struct {
	Healthy bool   `json:"healthy"`
	Reason  string `json:"reason,omitempty"`
}

// LogSource is a stream of an agent's logs.
type LogSource struct {
	WorkspaceAgentID uuid.UUID `json:"workspace_agent_id"`
	ID               uuid.UUID `json:"id"`
	CreatedAt        time.Time `json:"created_at"`
	DisplayName      string    `json:"display_name"`
	Icon             string    `json:"icon"`
}

// AgentLog is a line that an agent logged.
type AgentLog struct {
	ID        int64     `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	Output    string    `json:"output"`
	Level     string    `json:"level"`
	SourceID  uuid.UUID `json:"source_id"`
}

// Script is run by an agent.
type Script struct {
	ID               uuid.UUID     `json:"id"`
	LogSourceID      uuid.UUID     `json:"log_source_id"`
	LogPath          string        `json:"log_path"`
	Script           string        `json:"script"`
	Cron             string        `json:"cron"`
	RunOnStart       bool          `json:"run_on_start"`
	RunOnStop        bool          `json:"run_on_stop"`
	StartBlocksLogin bool          `json:"start_blocks_login"`
	Timeout          time.Duration `json:"timeout"`
	DisplayName      string        `json:"display_name"`
}

// ConnectionInfo is what a client needs to reach agents.
type ConnectionInfo struct {
	DERPMap                  *derpmap.Map `json:"derp_map"`
	DERPForceWebSockets      bool         `json:"derp_force_websockets"`
	DisableDirectConnections bool         `json:"disable_direct_connections"`
	HostnameSuffix           string       `json:"hostname_suffix,omitempty"`
}

// Agent asks for an agent by id.
func (c *Client) Agent(ctx context.Context, id uuid.UUID) (Agent, error) {
	var out Agent
	return out, c.get(ctx, "/api/v2/workspaceagents/"+id.String(), &out)
}

// ConnectionInfo asks how to reach an agent.
func (c *Client) ConnectionInfo(ctx context.Context, agent uuid.UUID) (ConnectionInfo, error) {
	var out ConnectionInfo
	return out, c.get(ctx, "/api/v2/workspaceagents/"+agent.String()+"/connection", &out)
}

// Coordinate opens the tailnet service for one agent. The caller closes the
// connection; the end of ctx closes it too. resumeToken may be empty; a
// refused one is an *Error of status 401 with a validation of the field
// resume_token.
func (c *Client) Coordinate(ctx context.Context, agent uuid.UUID, resumeToken string) (*wire.Conn, error) {
	q := url.Values{"version": {"2.0"}}
	if resumeToken != "" {
		q.Set("resume_token", resumeToken)
	}
	return c.dialRPC(ctx, "/api/v2/workspaceagents/"+agent.String()+"/coordinate?"+q.Encode())
}

// AgentRPC opens the agent and tailnet services with an agent token. The
// caller closes the connection; the end of ctx closes it too.
//
// It asks for version 2.0, which every server serves: methods are not gated by
// the version, and a server that lacks one answers so.
func (c *Client) AgentRPC(ctx context.Context) (*wire.Conn, error) {
	return c.dialRPC(ctx, "/api/v2/workspaceagents/me/rpc?version=2.0&role=agent")
}

// AgentObserverRPC is AgentRPC for who is not the agent: an agent that is
// connected with the token stays so.
func (c *Client) AgentObserverRPC(ctx context.Context) (*wire.Conn, error) {
	return c.dialRPC(ctx, "/api/v2/workspaceagents/me/rpc?version=2.0&role=check")
}

func (c *Client) dialRPC(ctx context.Context, path string) (*wire.Conn, error) {
	ws, err := c.dial(ctx, path)
	if err != nil {
		return nil, err
	}
	conn, err := wire.NewClient(wire.Stream(ctx, ws))
	if err != nil {
		ws.CloseNow()
		return nil, err
	}
	return conn, nil
}

// ExternalAgentCredentials is what a machine outside the server's reach needs
// to become the workspace.
type ExternalAgentCredentials struct {
	AgentToken string `json:"agent_token"`
	Command    string `json:"command"`
}

// ExternalAgentCredentials asks for the token of an external agent; 404 when
// the agent is not external.
func (c *Client) ExternalAgentCredentials(ctx context.Context, workspace uuid.UUID, agent string) (ExternalAgentCredentials, error) {
	var out ExternalAgentCredentials
	return out, c.get(ctx, "/api/v2/workspaces/"+workspace.String()+"/external-agent/"+url.PathEscape(agent)+"/credentials", &out)
}
