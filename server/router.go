package server

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/berthdev/berth/server/web"
)

// routes is everything that the server answers. relay serves the paths of the
// relay.
func (s *Server) routes(relay http.Handler) http.Handler {
	r := chi.NewRouter()
	r.Use(s.everyRequest, s.limitBody)
	r.NotFound(s.h(routeNotFound))
	r.MethodNotAllowed(s.h(methodNotAllowed))
	s.pageRoutes(r)
	r.Handle("/derp", relay)
	r.Handle("/derp/*", relay)
	r.Route("/api/v2", func(r chi.Router) {
		r.NotFound(s.h(routeNotFound))
		r.MethodNotAllowed(s.h(methodNotAllowed))
		r.Group(s.openRoutes)
		r.Group(func(r chi.Router) {
			r.Use(s.signedIn)
			s.deploymentRoutes(r)
			s.userRoutes(r)
			s.templateRoutes(r)
			s.workspaceRoutes(r)
			s.agentRoutes(r)
		})
	})
	return r
}

func (s *Server) pageRoutes(r chi.Router) {
	for path, get := range map[string]http.HandlerFunc{
		"/": s.h(s.getHome), "/login": s.h(s.getLogin), "/assets/berth.css": getStylesheet,
		"/bin/": s.h(s.listBinaries), "/bin/*": s.h(s.getBinary),
		"/healthz": healthz, "/latency-check": latencyCheck,
	} {
		r.Get(path, get)
		r.Head(path, get)
	}
	r.Handle("/assets/web/*", http.StripPrefix("/assets/web", web.Assets()))
	r.Get("/@{user}/{workspace}/terminal", s.h(s.getTerminalPage))
	r.Get("/cli-auth", s.h(s.getCLIAuth)) // makes a token: not for HEAD
	r.Post("/login", s.h(s.postLogin))
}

// openRoutes need no session. Agents bring their own token.
func (s *Server) openRoutes(r chi.Router) {
	r.Get("/buildinfo", s.h(s.getBuildInfo))
	r.Get("/latency-check", latencyCheck)
	r.Get("/users/first", s.h(s.getFirstUser))
	r.Post("/users/first", s.h(s.createFirstUser))
	r.Post("/users/login", s.h(s.login))
	r.Get("/users/authmethods", s.h(s.getAuthMethods))
	r.Post("/users/validate-password", s.h(s.validatePassword))
	r.Get("/init-script/{os}/{arch}", s.h(s.getInitScript))
	r.Get("/workspaceagents/me/rpc", s.h(s.agentRPC))
	r.Get("/workspaceagents/me/gitsshkey", s.h(s.getAgentGitSSHKey))
	r.Patch("/workspaceagents/me/app-status", s.h(s.patchAppStatus))
	s.leaseRoutes(r, "/workspaceagents/me/leases", s.agentHolder)
}

func (s *Server) deploymentRoutes(r chi.Router) {
	r.Get("/deployment/ssh", s.h(s.getSSHConfig))
	r.Get("/appearance", s.h(s.getAppearance))
	r.Get("/entitlements", s.h(s.getEntitlements))
	r.Get("/applications/host", s.h(s.getAppHost))
	r.Get("/notifications/inbox", s.h(s.getInbox))
	r.Get("/notifications/inbox/watch", s.h(s.watchInbox))
	r.Get("/derp-map", s.h(s.watchDERPMap))
	r.Get("/tailnet", s.h(s.tailnet))
	r.Get("/organizations", s.h(s.listOrganizations))
	r.Get("/organizations/{organization}", s.h(s.getOrganization))
}

func (s *Server) userRoutes(r chi.Router) {
	r.Post("/users/logout", s.h(s.logout))
	r.Get("/users", s.h(s.listUsers))
	r.Post("/users", s.h(s.createUser))
	r.Get("/users/{user}", s.h(s.getUser))
	r.Delete("/users/{user}", s.h(s.deleteUser))
	r.Put("/users/{user}/profile", s.h(s.putProfile))
	r.Put("/users/{user}/password", s.h(s.putPassword))
	r.Put("/users/{user}/roles", s.h(s.putRoles))
	r.Put("/users/{user}/status/suspend", s.h(s.suspendUser))
	r.Put("/users/{user}/status/activate", s.h(s.activateUser))
	r.Get("/users/{user}/gitsshkey", s.h(s.getGitSSHKey))
	r.Put("/users/{user}/gitsshkey", s.h(s.putGitSSHKey))
	r.Get("/users/{user}/login-type", s.h(s.getLoginType))
	r.Get("/users/{user}/organizations", s.h(s.listUserOrganizations))
	r.Post("/users/{user}/keys", s.h(s.createSessionKey))
	r.Post("/users/{user}/keys/tokens", s.h(s.createToken))
	r.Get("/users/{user}/keys/tokens", s.h(s.listTokens))
	r.Get("/users/{user}/keys/tokens/tokenconfig", s.h(s.getTokenConfig))
	r.Get("/users/{user}/keys/tokens/{name}", s.h(s.getTokenByName))
	r.Get("/users/{user}/keys/{key}", s.h(s.getKey))
	r.Delete("/users/{user}/keys/{key}", s.h(s.deleteKey))
	r.Post("/users/{user}/workspaces", s.h(s.createWorkspace))
	r.Get("/users/{user}/workspace/{name}", s.h(s.getWorkspaceByName))
	r.Get("/users/{user}/workspace/{name}/builds/{number}", s.h(s.getBuildByNumber))
}

func (s *Server) templateRoutes(r chi.Router) {
	r.Get("/templates", s.h(s.listTemplates))
	r.Get("/templates/{template}", s.h(s.getTemplate))
	r.Patch("/templates/{template}", s.h(s.patchTemplate))
	r.Get("/templates/{template}/versions", s.h(s.listTemplateVersions))
	r.Get("/organizations/{organization}/templates", s.h(s.listOrganizationTemplates))
	r.Get("/organizations/{organization}/templates/{template}", s.h(s.getTemplateByName))
	r.Get("/templateversions/{version}", s.h(s.getTemplateVersion))
	r.Get("/templateversions/{version}/rich-parameters", s.h(s.listParameters))
	r.Get("/templateversions/{version}/presets", s.h(s.listNothing))
	r.Get("/templateversions/{version}/variables", s.h(s.listNothing))
	r.Get("/templateversions/{version}/resources", s.h(s.listVersionResources))
}

func (s *Server) workspaceRoutes(r chi.Router) {
	r.Post("/organizations/{organization}/members/{user}/workspaces", s.h(s.createMemberWorkspace))
	r.Get("/workspaces", s.h(s.listWorkspaces))
	r.Get("/workspaces/{workspace}", s.h(s.getWorkspace))
	r.Patch("/workspaces/{workspace}", s.h(s.updateWorkspace))
	r.Post("/workspaces/{workspace}/builds", s.h(s.createBuild))
	r.Get("/workspaces/{workspace}/builds", s.h(s.listBuilds))
	r.Post("/workspaces/{workspace}/usage", s.h(s.postUsage))
	r.Put("/workspaces/{workspace}/ttl", s.h(s.putTTL))
	r.Put("/workspaces/{workspace}/autostart", s.h(s.putAutostart))
	r.Put("/workspaces/{workspace}/autoupdates", s.h(s.putAutoupdates))
	r.Put("/workspaces/{workspace}/favorite", s.h(s.favor(true)))
	r.Delete("/workspaces/{workspace}/favorite", s.h(s.favor(false)))
	r.Put("/workspaces/{workspace}/extend", s.h(s.putExtend))
	r.Get("/workspaces/{workspace}/activity", s.h(s.getActivity))
	s.leaseRoutes(r, "/workspaces/{workspace}/leases", s.userHolder)
	r.Get("/workspaces/{workspace}/watch", s.h(s.watchWorkspace))
	r.Get("/workspaces/{workspace}/watch-ws", s.h(s.watchWorkspaceSocket))
	r.Get("/workspaces/{workspace}/external-agent/{agent}/credentials", s.h(s.getExternalAgent))
	r.Get("/workspacebuilds/{build}", s.h(s.getBuild))
	r.Get("/workspacebuilds/{build}/state", s.h(s.getBuildState))
	r.Put("/workspacebuilds/{build}/state", s.h(s.putBuildState))
	r.Get("/workspacebuilds/{build}/parameters", s.h(s.listBuildParameters))
	r.Get("/workspacebuilds/{build}/resources", s.h(s.listBuildResources))
	r.Get("/workspacebuilds/{build}/timings", s.h(s.getTimings))
	r.Get("/workspacebuilds/{build}/logs", s.h(s.getBuildLogs))
}

func (s *Server) agentRoutes(r chi.Router) {
	r.Get("/workspaceagents/connection", s.h(s.getConnection))
	r.Get("/workspaceagents/{agent}", s.h(s.getAgent))
	r.Get("/workspaceagents/{agent}/connection", s.h(s.getAgentConnection))
	r.Get("/workspaceagents/{agent}/logs", s.h(s.getAgentLogs))
	r.Get("/workspaceagents/{agent}/listening-ports", s.h(s.listPorts))
	r.Get("/workspaceagents/{agent}/watch-metadata", s.h(s.watchMetadata))
	r.Get("/workspaceagents/{agent}/watch-metadata-ws", s.h(s.watchMetadataSocket))
	r.Get("/workspaceagents/{agent}/coordinate", s.h(s.coordinate))
	r.Get("/workspaceagents/{agent}/pty", s.h(s.getTerminal))
	r.Get("/workspaceagents/{agent}/terminals", s.h(s.listTerminals))
}
