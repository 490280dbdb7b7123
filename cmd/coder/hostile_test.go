//go:build linux

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

// hostile is a text that changes a terminal which shows it as it is.
const hostile = "e\x1b]0;title\x07\u009b31m\rx\ny"

// TestHostileServer has a server that says nothing but such texts, wherever it may
// say one. No command passes them on to the terminal.
func TestHostileServer(t *testing.T) {
	answers := map[string]any{
		"GET /api/v2/users/me":                  evil[api.User](),
		"GET /api/v2/users":                     evil[api.UsersResponse](),
		"GET /api/v2/users/me/workspace/dev":    evil[api.Workspace](),
		"GET /api/v2/workspaces":                evil[api.WorkspacesResponse](),
		"GET /api/v2/templates":                 evil[[]api.Template](),
		"GET /api/v2/users/me/keys/tokens":      evil[[]api.APIKey](),
		"POST /api/v2/users/me/keys/tokens":     evil[api.GenerateKeyResponse](),
		"GET /api/v2/users/me/gitsshkey":        evil[api.GitSSHKey](),
		"GET /api/v2/deployment/ssh":            evil[api.SSHConfig](),
		"GET /api/v2/workspacebuilds/ID/logs":   evil[[]api.JobLog](),
		"GET /api/v2/workspaceagents/ID/logs":   evil[[]api.AgentLog](),
		"GET /api/v2/workspaces/ID/credentials": evil[api.ExternalAgentCredentials](),
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, ok := answers[r.Method+" "+withoutIDs(r.URL.Path)]
		if !ok {
			w.WriteHeader(http.StatusConflict)
			answer = evil[api.Response]()
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer srv.Close()
	for _, line := range []string{
		"whoami", "list", "list -a -c workspace,template,id", "show dev", "users list -c username,email,name,status,roles", "users show me",
		"templates list", "tokens list -c id,name,owner,scope", "tokens create", "publickey", "logs dev",
		"config-ssh --dry-run --ssh-config-file config", "open app dev", "open vscode dev --no-open", "external-workspaces agent-instructions dev",
		"start dev", "stop dev --yes", "delete dev --yes", "favorite dev", "schedule show dev", "ssh dev -- true", "ping dev", "doctor dev", "port-forward dev --tcp 1",
	} {
		cmd := exec.Command("coder", strings.Fields(line)...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "CODER_URL="+srv.URL, "CODER_SESSION_TOKEN=x-y", "CODER_CONFIG_DIR="+cmd.Dir)
		out, _ := cmd.CombinedOutput()
		if strings.ContainsFunc(string(out), func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("coder %s prints %q", line, out)
		}
		if len(out) == 0 {
			t.Errorf("coder %s prints nothing", line)
		}
	}
}

// withoutIDs cuts what differs out of a path.
func withoutIDs(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if uuid.Validate(p) == nil {
			parts[i] = "ID"
		}
	}
	if parts[len(parts)-1] == "credentials" {
		return strings.Join(append(parts[:5], "credentials"), "/")
	}
	return strings.Join(parts, "/")
}

// evil is a value whose texts are all hostile, and whose lists have one element.
func evil[T any]() (v T) {
	makeEvil(reflect.ValueOf(&v).Elem(), 0)
	return v
}

func makeEvil(v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case uuid.UUID:
		v.Set(reflect.ValueOf(uuid.New()))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Now()))
		return
	}
	if depth > 12 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Struct:
		for i := range v.NumField() {
			// An agent that another started is no agent of the workspace.
			if f := v.Field(i); f.CanSet() && v.Type().Field(i).Name != "ParentID" {
				makeEvil(f, depth+1)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			makeEvil(v.Index(0), depth+1)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		makeEvil(v.Elem(), depth+1)
	}
}
