//go:build linux

package main

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berthdev/berth/server/api"
)

// planted are secrets as they come into a bundle from all sides.
var planted = map[string]string{
	"header":            "planted-header-1f6c",
	"header command":    "planted-command-77aa",
	"environment":       "planted-environment-9c31",
	"proxy":             "planted-proxy-0b5e",
	"template variable": "planted variable \"52dd\"",
	"variable's URL":    "planted-in-url-6e6e",
	"script":            "planted-script-4a4a",
	"app":               "planted-app-8d8d",
	"health check":      "planted-health-3c3c",
	"app's command":     "planted-app-command-2b2b",
	"resource":          "planted-resource-1a1a",
	"job":               "planted-job-5e5e",
	"build log":         "planted-build-log-7f7f",
	"authorization":     "cGxhbnRlZDpiYXNpYw==",
	"script log":        "planted-script-log-9b9b",
	"other variable":    "planted-other-2c2c",
}

// asTemplate is the server behind one that answers as if a template had put the
// planted secrets wherever templates put them.
func asTemplate(t *testing.T, to string) *httptest.Server {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ModifyResponse = func(res *http.Response) error {
		path := res.Request.URL.Path
		switch {
		case res.StatusCode != http.StatusOK:
		case strings.HasSuffix(path, "/workspace/blue-fox"):
			return rewrite(res, func(ws *api.Workspace) { plant(&ws.LatestBuild) })
		case strings.Contains(path, "/builds/"):
			return rewrite(res, plant)
		case strings.Contains(path, "/workspacebuilds/") && strings.HasSuffix(path, "/logs"):
			return rewrite(res, func(lines *[]api.JobLog) {
				*lines = append(*lines, api.JobLog{Output: "export API_TOKEN=" + planted["build log"]},
					api.JobLog{Output: "> Authorization: Basic " + planted["authorization"]},
					api.JobLog{Output: "the variable is " + planted["template variable"] + ", in JSON " + strconv.Quote(planted["template variable"])})
			})
		case strings.Contains(path, "/workspaceagents/") && strings.HasSuffix(path, "/logs"):
			return rewrite(res, func(lines *[]api.AgentLog) {
				for _, known := range []string{"header", "header command", "environment", "proxy", "resource"} {
					*lines = append(*lines, api.AgentLog{Output: "a word " + planted[known] + " in a line"})
				}
				*lines = append(*lines, api.AgentLog{Output: "in code " + base64.StdEncoding.EncodeToString([]byte(res.Request.Header.Get(api.HeaderToken)))})
				*lines = append(*lines, api.AgentLog{Output: "git clone https://me:" + planted["script log"] + "@example.com/x"})
			})
		}
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server
}

func plant(b *api.Build) {
	b.Job.Error = "apply: password: " + planted["job"]
	for i := range b.Resources {
		r := &b.Resources[i]
		r.Metadata = append(r.Metadata, api.ResourceMetadata{Key: "admin", Value: planted["resource"], Sensitive: true})
		for j := range r.Agents {
			a := &r.Agents[j]
			a.EnvironmentVariables = map[string]string{
				"DB_PASSWORD": planted["template variable"], "DATABASE_URL": "postgres://u:" + planted["variable's URL"] + "@db/x", "EDITOR": "vi",
			}
			a.Scripts = append(a.Scripts, api.Script{Script: "curl -u me:" + planted["script"]})
			app := api.App{Slug: "x", URL: "http://localhost:1/?tkn=" + planted["app"], Command: "psql " + planted["app's command"]}
			app.Healthcheck.URL = "http://localhost:1/#" + planted["health check"]
			a.Apps = append(a.Apps, app)
		}
	}
}

func rewrite[T any](res *http.Response, change func(*T)) error {
	var v T
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		return err
	}
	res.Body.Close()
	change(&v)
	raw, err := json.Marshal(v)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	res.Header.Set("Content-Length", strconv.Itoa(len(raw)))
	return err
}

// filesOf reads a zip.
func filesOf(t *testing.T, path string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("read %s: %v", f.Name, err)
		}
		files[f.Name] = string(raw)
	}
	return files
}

func TestSupportBundleHasNoSecret(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "blue-fox")
	session := strings.TrimSpace(l.coder(t, "login", "token"))
	agent := agentToken(t, l, "blue-fox")
	server := asTemplate(t, l.url)
	out := filepath.Join(l.dir, "b.zip")
	cmd := l.command("--url", server.URL, "--header", "X-Auth="+planted["header"], "--header-command", "echo X-Second="+planted["header command"],
		"support", "bundle", "admin/blue-fox", "--output-file", out, "--yes")
	cmd.Env = append(cmd.Env, "CODER_SESSION_TOKEN="+session, "CODER_HEADER=", "GITHUB_TOKEN="+planted["environment"], "CODER_AGENT_TOKEN="+agent,
		"ALL_PROXY=http://me:"+planted["proxy"]+"@127.0.0.1:1", "UNRELATED=planted-unrelated", "CODER_OTHER="+planted["other variable"])
	began := time.Now()
	if raw, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("support bundle: %v\n%s", err, raw)
	}
	t.Logf("the bundle took %v", time.Since(began))
	files := filesOf(t, out)
	checkBundleNames(t, files)
	secrets := append(slices.Collect(maps.Values(planted)), session, session[:10], agent, "planted-unrelated", strconv.Quote(planted["template variable"]))
	for name, text := range files {
		for _, s := range secrets {
			for _, form := range []string{s, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s))} {
				if strings.Contains(text, form) {
					t.Errorf("%s of the bundle has the secret %q:\n%s", name, s, text)
				}
			}
		}
	}
	for name, want := range map[string]string{
		"agents/main/agent.json": `"EDITOR": "vi"`, "client/environment.txt": "CODER_AGENT_TOKEN=[masked]\n", "client/doctor.json": `"check": "path"`,
		"builds/1.log": "> Authorization: [masked]\n", "agents/main/scripts.log": "https://[masked]@example.com/x", "agents/main/debug.log": "connected to the server",
		"client/netcheck.json": `"derp"`, "agents/main/metrics.txt": "berth_agent_goroutines ", "workspace.json": `"name": "blue-fox"`, "server/user.json": `"username": "admin"`,
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s lacks %q:\n%s", name, want, files[name])
		}
	}
}

func agentToken(t *testing.T, l *lab, workspace string) string {
	t.Helper()
	out := l.coder(t, "external-workspaces", "agent-instructions", workspace, "-o", "json")
	found := regexp.MustCompile(`"token": "([^"]+)"`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no token in %s", out)
	}
	return found[1]
}

func checkBundleNames(t *testing.T, files map[string]string) {
	t.Helper()
	want := []string{
		"agents/main/agent.json", "agents/main/connection.log", "agents/main/debug.log", "agents/main/manifest.json", "agents/main/metrics.txt",
		"agents/main/netcheck.json", "agents/main/paths.json", "agents/main/ports.json", "agents/main/scripts.log",
		"builds/1.json", "builds/1.log", "client/doctor.json", "client/environment.txt", "client/netcheck.json", "client/version.json",
		"server/buildinfo.json", "server/connection.json", "server/ssh.json", "server/user.json", "workspace.json",
	}
	var got []string
	for name := range files {
		got = append(got, name)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the bundle has %q,\nwant %q\nerrors.txt: %s", got, want, files["errors.txt"])
	}
}

// TestSupportBundleWithoutServer makes one of what is here, and says of the rest
// why not.
func TestSupportBundleWithoutServer(t *testing.T) {
	l := newLab(t)
	l.server.stop(9)
	dir := t.TempDir()
	cmd := l.command("support", "bundle", "blue-fox", "--yes")
	cmd.Dir = dir
	raw, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("support bundle: %v\n%s", err, raw)
	}
	made, err := os.ReadDir(dir)
	if err != nil || len(made) != 1 || !regexp.MustCompile(`^coder-support-[0-9]{10}\.zip$`).MatchString(made[0].Name()) {
		t.Fatalf("the directory has %v, %v", made, err)
	}
	if info, err := made[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the bundle = %v, %v, want 0600", info.Mode(), err)
	}
	files := filesOf(t, filepath.Join(dir, made[0].Name()))
	for _, name := range []string{"workspace.json", "client/netcheck.json", "server/buildinfo.json"} {
		if !strings.Contains(files["errors.txt"], name+": ") || !strings.Contains(files["errors.txt"], "connection refused") {
			t.Errorf("errors.txt does not say why there is no %s:\n%s", name, files["errors.txt"])
		}
	}
	if !strings.Contains(files["client/doctor.json"], "connection refused") {
		t.Errorf("the doctor says %s", files["client/doctor.json"])
	}
}
