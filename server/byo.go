package server

import (
	"fmt"
	"maps"

	"github.com/berthdev/berth/server/api"
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
func byoAgent(parameters map[string]string) (store.AgentSpec, error) {
	spec := store.AgentSpec{
		Name: byoAgentName, OperatingSystem: "linux", Architecture: "amd64",
		Environment: map[string]string{}, External: true,
	}
	if err := configure(&spec, parameters[agentConfigParameter]); err != nil {
		return spec, invalid("rich_parameter_values", agentConfigParameter+": "+err.Error())
	}
	return spec, nil
}

// byoParameters are the parameters of the built-in template.
func byoParameters() []api.TemplateParameter {
	return []api.TemplateParameter{{
		Name: agentConfigParameter, DisplayName: "Agent", Type: "string", FormType: "textarea", Mutable: true,
		Description:          "What the agent does, as YAML or JSON: dir, env, scripts, apps, metadata. See docs/agent-config.md.",
		DescriptionPlaintext: "What the agent does, as YAML or JSON: dir, env, scripts, apps, metadata. See docs/agent-config.md.",
		Options:              []struct{}{},
	}}
}

// withParameters are the parameters of a build after those of the one before,
// which may be nil.
func withParameters(before *store.Build, given []api.BuildParameter) (map[string]string, error) {
	all := map[string]string{}
	if before != nil {
		maps.Copy(all, before.Parameters)
	}
	for _, p := range given {
		if p.Name != agentConfigParameter {
			return nil, invalid("rich_parameter_values", fmt.Sprintf("The template has no parameter %q, only %s.", p.Name, agentConfigParameter))
		}
		all[p.Name] = p.Value
	}
	return all, nil
}

// byoResult is what a build of the built-in template leaves behind, at once.
// The machine outlives its builds, so its agent keeps id and token: while the
// workspace is stopped the token is refused, and after a start nobody has to
// paste a command again.
func byoResult(t store.Transition, parameters map[string]string) (*store.BuildResult, error) {
	r := &store.BuildResult{KeepAgents: true}
	if t == store.TransitionStart {
		spec, err := byoAgent(parameters)
		if err != nil {
			return nil, err
		}
		r.Resources = []store.NewResource{{
			Type: byoResourceType, Name: byoResourceName,
			Agents: []store.NewAgent{{Token: auth.NewAgentToken(), AgentSpec: spec}},
		}}
	}
	return r, nil
}
