// Package proto holds the messages and the dRPC service of the coordination
// protocol (tailnet.proto), and the version number that this service shares
// with the agent's (package agent/proto).
//
// Messages are generated: run make gen after a change to a .proto file. What
// the messages mean to each side, and in which order they come, is the duty
// of packages coordinator and tailnet.
package proto

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The version of the agent and tailnet services that this module speaks. A
// minor version adds methods and fields only, so a peer with a lower minor is
// always served; methods are not gated by the version asked for.
//
//	2.0   first form on dRPC, yamux and WebSocket
//	2.1   Agent.GetAnnouncementBanners
//	2.2   Tailnet.PostTelemetry
//	2.3   Tailnet.RefreshResumeToken, Tailnet.WorkspaceUpdates, Agent.ScriptCompleted
//	2.4   Agent.*ResourcesMonitoring*, Agent.ReportConnection
//	2.5   Manifest.parent_id
//	2.6   Agent.*SubAgent*, sharing level ORGANIZATION
//	2.7   Agent.ReportBoundaryLogs
//	2.8   CreateSubAgentRequest.id, WorkspaceAgentDevcontainer.subagent_id, Agent.UpdateAppStatus
//	2.9   ReportBoundaryLogsRequest.session_id, .confined_process_name, BoundaryLog.sequence_number
//	2.10  Agent.PushContextState
//	2.11  Stats.session_counts
//	2.12  TelemetryEvent.client_session_id
//	2.13  Connection.app_name
const (
	Major = 2
	Minor = 13
)

// Version is the newest version spoken here, as sent in a version query.
var Version = fmt.Sprintf("%d.%d", Major, Minor)

// ErrVersion reports a version that is malformed or that this module does not
// serve; the error that wraps it says which.
var ErrVersion = errors.New("unsupported API version")

// CheckVersion reports whether a peer that asks for version can be served:
// same major, minor not above ours. The error wraps ErrVersion.
func CheckVersion(version string) error {
	major, minor, ok := strings.Cut(version, ".")
	maj, err1 := strconv.ParseUint(major, 10, 16)
	min, err2 := strconv.ParseUint(minor, 10, 16)
	if !ok || err1 != nil || err2 != nil {
		return fmt.Errorf("%w: %.20q is not of the form MAJOR.MINOR", ErrVersion, version)
	}
	if maj != Major || min > Minor {
		return fmt.Errorf("%w: %d.%d was asked for, this server speaks %d.0 to %s", ErrVersion, maj, min, Major, Version)
	}
	return nil
}
