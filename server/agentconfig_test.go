package server

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	agentproto "github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

const fullConfig = `
dir: ~/src
env: {GREETING: hello}
motd_file: /etc/motd
startup_script: |
  echo starting
startup_script_behavior: blocking
shutdown_script: echo stopping
display_apps: {vscode: false, web_terminal: true}
scripts:
  - display_name: Clean
    script: rm -rf ~/tmp
    cron: "0 0 3 * * *"
    timeout: 60
    log_path: clean.log
apps:
  - {slug: web, display_name: Web, url: "http://localhost:8080", healthcheck: {url: "http://localhost:8080/healthz", interval: 5, threshold: 3}}
  - {slug: top, command: htop, share: public, hidden: true}
metadata:
  - {key: cpu, display_name: CPU, script: coder stat cpu, interval: 10, timeout: 2}
  - {key: once, script: uname}
resources_monitoring:
  memory: {enabled: true, threshold: 80}
  volumes: [{path: /home, enabled: true, threshold: 90}, {path: /mnt, enabled: false}]
`

// configured makes a workspace whose agent has a config.
func (d *deployment) configured(c *api.Client, name, config string) api.Workspace {
	d.t.Helper()
	ws, err := c.CreateWorkspace(d.t.Context(), api.Me, api.CreateWorkspaceRequest{
		TemplateID: &store.BYOTemplateID, Name: name,
		RichParameterValues: []api.BuildParameter{{Name: agentConfigParameter, Value: config}},
	})
	if err != nil {
		d.t.Fatalf("CreateWorkspace: %v", err)
	}
	return ws
}

func TestAgentConfig(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.configured(c, "blue", fullConfig)
		a := d.connect(d.agentToken(c, ws))
		m, err := a.GetManifest(t.Context(), &agentproto.GetManifestRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Directory != "~/src" || m.MotdPath != "/etc/motd" || m.EnvironmentVariables["GREETING"] != "hello" {
			t.Errorf("manifest = %v, want directory, motd and environment", m)
		}
		if len(m.Scripts) != 3 || m.Scripts[0].Cron != "0 0 3 * * *" || m.Scripts[0].Timeout.AsDuration() != time.Minute || m.Scripts[0].LogPath != "clean.log" {
			t.Fatalf("scripts = %v, want three, the first by the clock", m.Scripts)
		}
		if s := m.Scripts[1]; !s.RunOnStart || !s.StartBlocksLogin || s.Script != "echo starting\n" || len(s.Id) != 16 || len(s.LogSourceId) != 16 {
			t.Errorf("start script = %v", s)
		}
		if s := m.Scripts[2]; !s.RunOnStop || s.RunOnStart {
			t.Errorf("stop script = %v", s)
		}
		if app := m.Apps[0]; app.Slug != "web" || app.Healthcheck.Interval.AsDuration() != 5*time.Second || app.Health != agentproto.WorkspaceApp_INITIALIZING || app.SharingLevel != agentproto.WorkspaceApp_OWNER {
			t.Errorf("app with a check = %v", app)
		}
		if app := m.Apps[1]; app.Health != agentproto.WorkspaceApp_DISABLED || app.SharingLevel != agentproto.WorkspaceApp_PUBLIC || app.Healthcheck == nil {
			t.Errorf("app without a check = %v", app)
		}
		if md := m.Metadata; len(md) != 2 || md[0].Interval.AsDuration() != 10 || md[0].Timeout.AsDuration() != 2 || md[1].DisplayName != "once" {
			t.Errorf("metadata = %v, want seconds in the place of nanoseconds", md)
		}
		conf, err := a.GetResourcesMonitoringConfiguration(t.Context(), &agentproto.GetResourcesMonitoringConfigurationRequest{})
		if err != nil || !conf.GetMemory().GetEnabled() || len(conf.GetVolumes()) != 1 || conf.GetVolumes()[0].Path != "/home" {
			t.Errorf("monitors = %v, %v, want memory and one volume", conf, err)
		}
		agent := ws.LatestBuild.Resources[0].Agents[0]
		if got := strings.Join(agent.DisplayApps, " "); got != "web_terminal port_forwarding_helper ssh_helper" {
			t.Errorf("display apps = %s", got)
		}
		if agent.StartupScriptBehavior != "blocking" || len(agent.Scripts) != 3 || len(agent.LogSources) != 3 || agent.Apps[0].Health != "initializing" {
			t.Errorf("agent = %+v", agent)
		}

		next, err := c.CreateBuild(t.Context(), ws.ID, api.CreateBuildRequest{Transition: api.TransitionStart})
		if err != nil {
			t.Fatal(err)
		}
		if kept := next.Resources[0].Agents[0]; kept.Scripts[1].ID != agent.Scripts[1].ID || kept.Apps[0].ID != agent.Apps[0].ID {
			t.Error("the next build has other scripts and apps, want the parameter and the ids kept")
		}
	})
}

func TestAgentConfigRefusesNonsense(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	for config, want := range map[string]string{
		"scripts: [":             "did not find",
		"skripts: []":            "skripts",
		"- 1":                    "cannot unmarshal",
		"env: {A=B: x}":          "name of a variable",
		`env: {A: "a\0b"}`:       "NUL",
		"scripts: [{script: x}]": "display_name",
		"scripts: [{display_name: a, run_on_start: true}]":                                     "script is missing",
		"scripts: [{display_name: a, script: x}]":                                              "never run",
		"scripts: [{display_name: a, script: x, cron: '* *'}]":                                 "5 or 6 fields",
		"scripts: [{display_name: a, script: x, run_on_stop: true, start_blocks_login: true}]": "needs run_on_start",
		"scripts: [{display_name: a, script: x, run_on_start: true, timeout: -1}]":             "timeout",
		"startup_script_behavior: maybe":                                                       "blocking or non-blocking",
		"apps: [{slug: A, url: x}]":                                                            "slug",
		"apps: [{slug: a, url: x, command: y}]":                                                "either url or command",
		"apps: [{slug: a, url: x}, {slug: a, url: y}]":                                         "another one",
		"apps: [{slug: a, url: x, share: all}]":                                                "share",
		"apps: [{slug: a, url: x, open_in: window}]":                                           "open_in",
		"apps: [{slug: a, url: x, healthcheck: {url: x}}]":                                     "healthcheck",
		"metadata: [{key: 'a b', script: x}]":                                                  "key",
		"metadata: [{key: a, script: x}, {key: a, script: y}]":                                 "another one",
		"metadata: [{key: a}]":                                                                 "script is missing",
		"metadata: [{key: a, script: x, interval: -1}]":                                        "interval",
		"resources_monitoring: {volumes: [{path: home}]}":                                      "absolute path",
		"display_apps: {emacs: true}":                                                          "emacs",
		"startup_script: " + strings.Repeat("x", maxConfig):                                    "KiB",
		"metadata: [" + strings.Repeat("{key: a, script: x},", maxKeys+1) + "]":                "at most",
		"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n":        "not found",
	} {
		_, err := c.CreateWorkspace(t.Context(), api.Me, api.CreateWorkspaceRequest{
			TemplateID: &store.BYOTemplateID, Name: "x", RichParameterValues: []api.BuildParameter{{Name: agentConfigParameter, Value: config}},
		})
		if api.StatusCode(err) != http.StatusBadRequest || !strings.Contains(err.Error(), want) {
			t.Errorf("config %.60q = %v, want 400 about %q", config, err, want)
		}
	}
	_, err := c.CreateWorkspace(t.Context(), api.Me, api.CreateWorkspaceRequest{
		TemplateID: &store.BYOTemplateID, Name: "x", RichParameterValues: []api.BuildParameter{{Name: "other", Value: "x"}},
	})
	if api.StatusCode(err) != http.StatusBadRequest || !strings.Contains(err.Error(), "other") {
		t.Errorf("unknown parameter = %v, want 400", err)
	}
}

func FuzzAgentConfig(f *testing.F) {
	f.Add(fullConfig)
	f.Add("scripts: [{display_name: a, script: x, cron: '* * * * *'}]")
	f.Fuzz(func(t *testing.T, text string) {
		spec := store.AgentSpec{Environment: map[string]string{}}
		_ = configure(&spec, text)
	})
}

func TestMetadata(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.configured(c, "blue", fullConfig)
	agent := ws.LatestBuild.Resources[0].Agents[0].ID
	a := d.connect(d.agentToken(c, ws))
	socket, _, err := d.dial(c, "/api/v2/workspaceagents/"+agent.String()+"/watch-metadata-ws")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	type message struct {
		Type string
		Data []api.Metadata
	}
	if got := readJSON[message](t, socket); len(got.Data) != 2 || got.Data[0].Description.Interval != 10 || !got.Data[0].Result.CollectedAt.IsZero() {
		t.Errorf("first message = %+v, want two keys without values", got)
	}
	set := func(key, value string) error {
		_, err := a.BatchUpdateMetadata(t.Context(), &agentproto.BatchUpdateMetadataRequest{Metadata: []*agentproto.Metadata{
			{Key: key, Result: &agentproto.WorkspaceAgentMetadata_Result{Value: value, CollectedAt: timestamppb.Now()}},
		}})
		return err
	}
	if err := set("cpu", "12%"); err != nil {
		t.Fatal(err)
	}
	if got := readJSON[message](t, socket); got.Data[0].Result.Value != "12%" || got.Data[0].Result.CollectedAt.IsZero() {
		t.Errorf("message = %+v, want the value", got)
	}
	if err := set("nobody", "x"); err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		t.Errorf("value of an unknown key: %v, want a refusal", err)
	}
	if err := set("cpu", strings.Repeat("x", maxValue+1)); err != nil {
		t.Errorf("long value: %v, want it cut", err)
	}
	if got := readJSON[message](t, socket).Data[0].Result; len(got.Value) > maxValue || got.Error == "" {
		t.Errorf("long value = %d bytes and error %q, want it cut with a word", len(got.Value), got.Error)
	}
}

func TestAppHealthAndScriptRuns(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.configured(c, "blue", fullConfig)
	agent := ws.LatestBuild.Resources[0].Agents[0]
	a := d.connect(d.agentToken(c, ws))
	health := func(app uuid.UUID) error {
		_, err := a.BatchUpdateAppHealths(t.Context(), &agentproto.BatchUpdateAppHealthRequest{Updates: []*agentproto.BatchUpdateAppHealthRequest_HealthUpdate{
			{Id: app[:], Health: agentproto.WorkspaceApp_UNHEALTHY},
		}})
		return err
	}
	if err := health(agent.Apps[0].ID); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Agent(t.Context(), agent.ID); err != nil || got.Apps[0].Health != "unhealthy" || got.Apps[1].Health != "disabled" {
		t.Errorf("health of apps = %+v, %v", got.Apps, err)
	}
	for _, id := range []uuid.UUID{agent.Apps[1].ID, uuid.New()} {
		if err := health(id); err == nil {
			t.Errorf("health of %s was taken, want only of apps that have a check", id)
		}
	}
	run := func(script uuid.UUID) error {
		_, err := a.ScriptCompleted(t.Context(), &agentproto.WorkspaceAgentScriptCompletedRequest{Timing: &agentproto.Timing{
			ScriptId: script[:], Start: timestamppb.Now(), End: timestamppb.Now(), ExitCode: 3, Status: agentproto.Timing_EXIT_FAILURE,
		}})
		return err
	}
	if err := run(agent.Scripts[1].ID); err != nil {
		t.Fatal(err)
	}
	if err := run(uuid.New()); err == nil {
		t.Error("a run of somebody else's script was taken")
	}
	runs, err := d.store.ScriptRuns(t.Context(), []uuid.UUID{agent.ID})
	timings, timingsErr := c.Timings(t.Context(), ws.LatestBuild.ID)
	if timingsErr != nil || len(timings.Scripts) != 1 || timings.Scripts[0].DisplayName != "Startup Script" || timings.Scripts[0].AgentName != "main" {
		t.Errorf("timings = %+v, %v, want the run with its names", timings, timingsErr)
	}
	if err != nil || len(runs) != 1 || runs[0].Status != "exit_failure" || runs[0].Stage != "start" || runs[0].ExitCode != 3 {
		t.Errorf("runs = %+v, %v, want the one", runs, err)
	}
}

func TestResourcesRunFull(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.configured(c, "blue", fullConfig)
	id := ws.LatestBuild.Resources[0].Agents[0].ID
	a := d.connect(d.agentToken(c, ws))
	d.waitConnected(c, ws, a)
	push := func(memory, home int64) api.AgentHealth {
		t.Helper()
		_, err := a.PushResourcesMonitoringUsage(t.Context(), &agentproto.PushResourcesMonitoringUsageRequest{
			Datapoints: []*agentproto.PushResourcesMonitoringUsageRequest_Datapoint{{
				CollectedAt: timestamppb.Now(),
				Memory:      &agentproto.PushResourcesMonitoringUsageRequest_Datapoint_MemoryUsage{Used: memory, Total: 100},
				Volumes: []*agentproto.PushResourcesMonitoringUsageRequest_Datapoint_VolumeUsage{
					{Volume: "/home", Used: home, Total: 100}, {Volume: "/unasked", Used: 100, Total: 100},
				},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		now, err := c.Agent(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return now.Health
	}
	for _, tc := range []struct {
		memory, home int64
		want         string
	}{{80, 90, ""}, {81, 91, "nearly full: /home, memory"}, {10, 91, "nearly full: /home"}, {10, 10, ""}} {
		if got := push(tc.memory, tc.home); got.Reason != tc.want || got.Healthy != (tc.want == "") {
			t.Errorf("health with %d %% of memory and %d %% of /home = %+v, want %q", tc.memory, tc.home, got, tc.want)
		}
	}
	if n := strings.Count(d.logs.String(), "workspace runs full"); n != 2 {
		t.Errorf("the log says %d times that something is full, want once for memory and once for /home", n)
	}
}

// The example of the docs is one that works.
func TestAgentConfigOfTheDocs(t *testing.T) {
	raw, err := os.ReadFile("../docs/agent-config.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/agent-config.md has no example")
	}
	spec := store.AgentSpec{Environment: map[string]string{}}
	if err := configure(&spec, example); err != nil || len(spec.Config.Scripts) != 4 || len(spec.Config.Apps) != 1 {
		t.Errorf("example = %+v, %v, want four scripts and an app", spec.Config, err)
	}
}
