package agent

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berthdev/berth/agent/proto"
)

// environment returns what user processes get on top of what they inherit, a
// later entry overriding an earlier one: who the workspace is, then the
// template's variables with $NAME expanded against the agent's own
// environment, then the user's secrets as they are. bin is a directory that
// PATH begins with, self the program of the agent, by which git reaches its
// servers with the user's key; empty leaves git alone.
func environment(m *proto.Manifest, token, bin, self string) []string {
	env := []string{
		"CODER=true",
		"CODER_WORKSPACE_NAME=" + m.GetWorkspaceName(),
		"CODER_WORKSPACE_AGENT_NAME=" + m.GetAgentName(),
		"CODER_WORKSPACE_OWNER_NAME=" + m.GetOwnerUsername(),
		"CODER_AGENT_TOKEN=" + token,
		"CS_DISABLE_GETTING_STARTED_OVERRIDE=true",
	}
	if id := idFrom(m.GetWorkspaceId()); id != "" {
		env = append(env, "CODER_WORKSPACE_ID="+id)
	}
	if uri := m.GetVsCodePortProxyUri(); uri != "" {
		env = append(env, "VSCODE_PROXY_URI="+uri)
	}
	if self != "" {
		env = append(env, "GIT_SSH_COMMAND='"+strings.ReplaceAll(self, "'", `'\''`)+"' gitssh --") // for a shell
	}
	for _, name := range sortedKeys(m.GetEnvironmentVariables()) {
		env = append(env, name+"="+os.ExpandEnv(m.GetEnvironmentVariables()[name]))
	}
	for _, s := range m.GetSecrets() {
		if s.GetEnvName() != "" {
			env = append(env, s.GetEnvName()+"="+string(s.GetValue()))
		}
	}
	env = append(env, "PATH="+bin+":"+pathOf(env))
	return slices.DeleteFunc(env, func(entry string) bool { return !wellFormed(entry) })
}

// pathOf is the PATH that env sets, else our own.
func pathOf(env []string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if path, ok := strings.CutPrefix(env[i], "PATH="); ok {
			return path
		}
	}
	return cmp.Or(os.Getenv("PATH"), "/usr/local/bin:/usr/bin:/bin")
}

// wellFormed reports whether an entry can be part of an environment at all: a
// NUL would make every start of a process fail.
func wellFormed(entry string) bool {
	return !strings.ContainsRune(entry, 0) && strings.IndexByte(entry, '=') > 0
}

// directory expands the template's working directory: a leading ~, variables,
// and relative to home. An empty one stays empty and means home.
func directory(dir, home string) string {
	if dir == "" {
		return ""
	}
	dir = os.ExpandEnv(dir)
	if dir == "~" || strings.HasPrefix(dir, "~/") {
		dir = home + dir[1:]
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(home, dir)
	}
	return filepath.Clean(dir)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
