// Package api holds the REST types of the server, its error body and a client
// for it: all that the command line and the agent know of the server. The
// types are those of Coder's /api/v2, so that existing clients work against
// our server and ours against theirs.
//
// Times are RFC 3339, ids are UUIDs, lists are never null.
package api

// Version is what the server and the command line report. Clients compare
// major, minor and patch with the features that they switch on; our own
// version is the build metadata after the plus sign.
const Version = "v2.34.0+berth.0.1.0"

// ProvisionerAPIVersion is reported by GET
// /api/v2/buildinfo.
const ProvisionerAPIVersion = "1.0"

// Headers of the protocol.
const (
	HeaderToken        = "Coder-Session-Token"
	HeaderBuildVersion = "X-Coder-Build-Version"
)

// CookieToken is the session cookie; the query parameter has the same name.
const CookieToken = "coder_session_token"
