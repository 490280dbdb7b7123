package server

import (
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// What a start of the built-in template makes. The names are those that
// clients show: "main" as in most templates.
const (
	byoResourceType = "berth_machine"
	byoResourceName = "machine"
	byoAgentName    = "main"
)

// byoAgent is the agent on a machine that exists already. Nothing is known of
// the machine: the words are those of most, and no client relies on them.
func byoAgent() store.AgentSpec {
	return store.AgentSpec{
		Name: byoAgentName, OperatingSystem: "linux", Architecture: "amd64",
		Environment: map[string]string{}, External: true,
	}
}

// byoResult is what a build of the built-in template leaves behind, at once.
// The machine outlives its builds, so its agent keeps id and token: while the
// workspace is stopped the token is refused, and after a start nobody has to
// paste a command again.
func byoResult(t store.Transition) *store.BuildResult {
	r := &store.BuildResult{KeepAgents: true}
	if t == store.TransitionStart {
		r.Resources = []store.NewResource{{
			Type: byoResourceType, Name: byoResourceName,
			Agents: []store.NewAgent{{Token: auth.NewAgentToken(), AgentSpec: byoAgent()}},
		}}
	}
	return r
}
