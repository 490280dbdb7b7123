package agent

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/proto"
)

func TestEnvironmentOverrides(t *testing.T) {
	t.Setenv("BASE", "/opt")
	id := uuid.New()
	env := environment(&proto.Manifest{
		WorkspaceName: "dev", AgentName: "main", OwnerUsername: "ada", WorkspaceId: id[:],
		EnvironmentVariables: map[string]string{"TOOLS": "$BASE/tools", "CODER": "template", "BAD": "a\x00b"},
		Secrets: []*proto.WorkspaceSecret{
			{EnvName: "TOOLS", Value: []byte("$BASE stays")}, {FilePath: "/only/a/file", Value: []byte("x")}, {EnvName: "A=B", Value: []byte("x")},
		},
	}, "the-token", "/data/bin", "/opt/it's here/coder")
	last := map[string]string{}
	for _, entry := range env {
		key, value, _ := strings.Cut(entry, "=")
		last[key] = value
	}
	for key, want := range map[string]string{
		"TOOLS": "$BASE stays", "CODER": "template", "CODER_WORKSPACE_NAME": "dev", "CODER_WORKSPACE_AGENT_NAME": "main",
		"CODER_WORKSPACE_OWNER_NAME": "ada", "CODER_WORKSPACE_ID": id.String(), "CODER_AGENT_TOKEN": "the-token",
		"PATH": "/data/bin:" + os.Getenv("PATH"), "GIT_SSH_COMMAND": `'/opt/it'\''s here/coder' gitssh --`,
	} {
		if last[key] != want {
			t.Errorf("%s = %q, want %q", key, last[key], want)
		}
	}
	if slices.ContainsFunc(env, func(s string) bool { return strings.ContainsRune(s, 0) || strings.HasPrefix(s, "=") }) {
		t.Errorf("environment has an entry with which no process starts: %q", env)
	}
	if _, set := last["VSCODE_PROXY_URI"]; set {
		t.Error("VSCODE_PROXY_URI is set without a wildcard host")
	}
}

func TestDirectory(t *testing.T) {
	t.Setenv("PROJECT", "berth")
	for in, want := range map[string]string{
		"": "", "~": "/home/ada", "~/x": "/home/ada/x", "src/$PROJECT": "/home/ada/src/berth", "/srv/$PROJECT/..": "/srv", "~bob": "/home/ada/~bob",
	} {
		if got := directory(in, "/home/ada"); got != want {
			t.Errorf("directory(%q) = %q, want %q", in, got, want)
		}
	}
}
