package server

import (
	"net/http"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/proto"
)

// hostnameSuffix ends the host names of workspaces in SSH configurations.
const hostnameSuffix = "coder"

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK"))
}

// latencyCheck answers at once: clients take the time.
func latencyCheck(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Timing-Allow-Origin", "*")
	healthz(w, nil)
}

func (s *Server) getBuildInfo(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, api.BuildInfo{
		ExternalURL: "https://github.com/berthdev/berth", Version: api.Version, DashboardURL: s.access.String(),
		AgentAPIVersion: proto.Version, ProvisionerAPIVersion: api.ProvisionerAPIVersion,
		DeploymentID: s.deploymentID.String(),
	})
}

// sshOptions are for the configurations that clients write. Those of editors have
// OpenSSH ask for a sign of life and end a session after 40 s without one; a session
// outlives any outage, so that OpenSSH is told not to ask. coder ssh --stdio sees to
// it that dead ones end.
var sshOptions = map[string]string{"ServerAliveInterval": "0"}

func (s *Server) getSSHConfig(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, api.SSHConfig{
		HostnamePrefix: "coder.", HostnameSuffix: hostnameSuffix, SSHConfigOptions: sshOptions,
	})
}

func (s *Server) getAppearance(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, api.Appearance{
		ApplicationName: "Berth", DocsURL: "https://github.com/berthdev/berth/tree/main/docs",
		AnnouncementBanners: []api.Banner{}, SupportLinks: []api.SupportLink{},
	})
}

// getEntitlements says that there is nothing to buy: what the server can do it
// does, without a licence.
func (s *Server) getEntitlements(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, api.Entitlements{
		Features: map[string]api.Feature{}, Warnings: []string{}, Errors: []string{}, RefreshedAt: s.began,
	})
}

// getAppHost says that apps have no host names of their own.
func (s *Server) getAppHost(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, api.AppHost{})
}
