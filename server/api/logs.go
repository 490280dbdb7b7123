package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// maxLogMessage bounds one message of a log in bytes: all that an agent may log,
// with what JSON makes of it.
const maxLogMessage = 16 << 20

// BuildLogs are the lines of a build with ids above after.
func (c *Client) BuildLogs(ctx context.Context, build uuid.UUID, after int64) ([]JobLog, error) {
	var out []JobLog
	return out, c.get(ctx, "/api/v2/workspacebuilds/"+build.String()+"/logs?after="+strconv.FormatInt(after, 10), &out)
}

// AgentLogs are the lines that an agent logged with ids above after.
func (c *Client) AgentLogs(ctx context.Context, agent uuid.UUID, after int64) ([]AgentLog, error) {
	var out []AgentLog
	return out, c.get(ctx, "/api/v2/workspaceagents/"+agent.String()+"/logs?after="+strconv.FormatInt(after, 10), &out)
}

// FollowBuildLogs calls each with lines of a build as they come, those with ids
// above after at first. It returns nil when the build has ended, and an error when
// the connection breaks, each does not like a line or ctx ends.
func (c *Client) FollowBuildLogs(ctx context.Context, build uuid.UUID, after int64, each func(JobLog) error) error {
	return followLog(ctx, c, "/api/v2/workspacebuilds/"+build.String()+"/logs", after, each)
}

// FollowAgentLogs calls each with lines as the agent logs them, those with ids
// above after at first. It returns nil when the agent's build is over, and an
// error as FollowBuildLogs does.
func (c *Client) FollowAgentLogs(ctx context.Context, agent uuid.UUID, after int64, each func([]AgentLog) error) error {
	return followLog(ctx, c, "/api/v2/workspaceagents/"+agent.String()+"/logs", after, each)
}

// followLog calls each with every message of a log.
func followLog[M any](ctx context.Context, c *Client, path string, after int64, each func(M) error) error {
	ws, err := c.dial(ctx, path+"?follow=true&after="+strconv.FormatInt(after, 10))
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxLogMessage)
	for {
		_, raw, err := ws.Read(ctx)
		switch {
		case websocket.CloseStatus(err) == websocket.StatusNormalClosure:
			return nil
		case err != nil && errors.Is(err, io.EOF):
			return fmt.Errorf("follow the log: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return fmt.Errorf("follow the log: %w", err)
		}
		var message M
		if err := json.Unmarshal(raw, &message); err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
		if err := each(message); err != nil {
			return err
		}
	}
}

// AgentMetadata is what the agent said last of each value that its template
// wants known.
func (c *Client) AgentMetadata(ctx context.Context, agent uuid.UUID) (list []Metadata, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err = events(ctx, c, "/api/v2/workspaceagents/"+agent.String()+"/watch-metadata", func(now []Metadata) error {
		list = now // the first event has all
		return errEnough
	})
	if errors.Is(err, errEnough) {
		return list, nil
	}
	return nil, errors.Join(err, errors.New("read the metadata: the stream ended"))
}

var errEnough = errors.New("nothing more is wanted")

// Timings is how long the parts of a build took.
type Timings struct {
	Scripts     []ScriptTiming `json:"agent_script_timings"`
	Provisioner []struct{}     `json:"provisioner_timings"`      // none are known
	Connections []struct{}     `json:"agent_connection_timings"` // none are known
}

// ScriptTiming is the last run of a script in a stage: start, stop or cron.
type ScriptTiming struct {
	StartedAt   time.Time `json:"started_at"`
	EndedAt     time.Time `json:"ended_at"`
	ExitCode    int       `json:"exit_code"`
	Stage       string    `json:"stage"`
	Status      string    `json:"status"` // ok, exit_failure, timed_out or pipes_left_open
	DisplayName string    `json:"display_name"`
	AgentID     string    `json:"workspace_agent_id"`
	AgentName   string    `json:"workspace_agent_name"`
}

// Timings says how long the parts of a build took.
func (c *Client) Timings(ctx context.Context, build uuid.UUID) (Timings, error) {
	var out Timings
	return out, c.get(ctx, "/api/v2/workspacebuilds/"+build.String()+"/timings", &out)
}
