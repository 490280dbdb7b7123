package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berthdev/berth/server/api"
)

// configureSSH runs config-ssh against a server that says the given, and
// returns the section and the warnings.
func configureSSH(t *testing.T, answer http.HandlerFunc) (section, warnings string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v2/deployment/ssh", answer)
	mux.HandleFunc("GET /api/v2/workspaces", func(w http.ResponseWriter, _ *http.Request) { sendJSON(w, api.WorkspacesResponse{}) })
	server := httptest.NewServer(mux)
	defer server.Close()
	dir := t.TempDir()
	for name, content := range map[string]string{fileURL: server.URL, fileSession: "token"} {
		if err := configDir(dir).write(name, content); err != nil {
			t.Fatal(err)
		}
	}
	g := &globals{configDir: dir}
	cmd := configSSHCommand(g)
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	file := filepath.Join(dir, "ssh")
	cmd.SetArgs([]string{"--yes", "--ssh-config-file", file, "--coder-binary-path", "coder"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("config-ssh: %v\n%s", err, &errs)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), errs.String()
}

func sendJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the other side sees what is missing
}

// TestRule5SSHConfig is security rule 5 of the design: of a server that means
// harm the section has what is harmless, and the user learns of the rest.
func TestRule5SSHConfig(t *testing.T) {
	section, warnings := configureSSH(t, func(w http.ResponseWriter, _ *http.Request) {
		sendJSON(w, api.SSHConfig{
			HostnamePrefix: "github.", HostnameSuffix: "com\nMatch all", SSHConfigOptions: map[string]string{
				"ServerAliveInterval": "15", "ProxyCommand": "evil", "ForwardAgent": "yes", "SetEnv": "A=b\nProxyCommand evil", "Bad\x1b[31m": "evil",
			},
		})
	})
	for _, want := range []string{"\nHost coder.*\n", "\nHost *.coder\n", "\tServerAliveInterval=15\n"} {
		if !strings.Contains(section, want) {
			t.Errorf("the section lacks %q:\n%s", want, section)
		}
	}
	for _, bad := range []string{"evil", "ForwardAgent", "github", "Match", "com\n"} {
		if strings.Contains(section, bad) {
			t.Errorf("the section has %q:\n%s", bad, section)
		}
	}
	want := `warning: the server's SSH option "Bad\x1b[31m" is not for a server to set
warning: the server's SSH option "ForwardAgent" may not be "yes"
warning: the server's SSH option "ProxyCommand" is not for a server to set
warning: the server's SSH option "SetEnv" may not be "A=b\nProxyCommand evil"
warning: of the server, the prefix "github." does not begin with coder: give --ssh-host-prefix if you want it
warning: of the server, the suffix "com\nMatch all" is not a host name: give --hostname-suffix if you want it
`
	if warnings != want {
		t.Errorf("config-ssh warns\n%s, want\n%s", warnings, want)
	}
}

func TestConfigSSHOfAnOldServer(t *testing.T) {
	section, warnings := configureSSH(t, http.NotFound)
	if !strings.Contains(section, "\nHost coder.*\n") || !strings.Contains(section, "\nHost *.coder\n") || warnings != "" {
		t.Errorf("the section of a server that says nothing is\n%s, with the warnings %q", section, warnings)
	}
}
