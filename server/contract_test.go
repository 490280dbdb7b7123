package server

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/types/known/timestamppb"

	agentproto "github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// What the clients of others demand, as their own types say: the strictest of
// the VS Code extension, the JetBrains Toolbox plugin and the SDK in Go.
var contract = func() schemas {
	all := schemas{}
	for name, text := range map[string]string{
		"Error": `{message s, detail s?, validations []{field s, detail s}?}`,
		"User": `{id u, username s, name s?, email s, avatar_url s?, created_at t, updated_at t, last_seen_at t?,
			status (active|dormant|suspended), login_type s, organization_ids []u, roles []{name s, display_name s}}`,
		"BuildInfo": `{external_url s, version s, dashboard_url s, telemetry b, workspace_proxy b, agent_api_version s,
			provisioner_api_version s, upgrade_message s, deployment_id u}`,
		"Workspace": `{id u, created_at t, updated_at t, owner_id u, owner_name s, owner_avatar_url s, organization_id u, organization_name s,
			template_id u, template_name s, template_display_name s, template_icon s, template_allow_user_cancel_workspace_jobs b,
			template_active_version_id u, template_require_active_version b, template_use_classic_parameter_flow b, latest_build Build,
			latest_app_status AppStatus~, outdated b, name s, autostart_schedule s?, ttl_ms i?, last_used_at t, deleting_at t~, dormant_at t~,
			health {healthy b, failing_agents []u}, automatic_updates (always|never), allow_renames b, favorite b, next_start_at t~,
			is_prebuild b}`,
		"Build": `{id u, created_at t, updated_at t, workspace_id u, workspace_name s, workspace_owner_id u, workspace_owner_name s,
			template_version_id u, template_version_name s, build_number i, transition (start|stop|delete), initiator_id u, initiator_name s,
			job Job, reason (initiator|autostart|autostop|dormancy|dashboard|cli|ssh_connection|vscode_connection|jetbrains_connection|task_auto_pause|task_manual_pause|task_resume),
			resources []Resource, deadline t~, max_deadline t~,
			status (pending|starting|running|stopping|stopped|failed|canceling|canceled|deleting|deleted), daily_cost i,
			matched_provisioners {count i, available i, most_recently_seen t~}?, template_version_preset_id u~}`,
		"Job": `{id u, created_at t, started_at t?, completed_at t?, canceled_at t?, error s?, status (pending|running|succeeded|canceling|canceled|failed),
			worker_id u?, file_id u, tags {s:s}, queue_position i, queue_size i, organization_id u, initiator_id u,
			input {template_version_id u?, workspace_build_id u?, error s?}, type (template_version_import|workspace_build|template_version_dry_run),
			metadata {template_version_name s, template_id u, template_name s, template_display_name s, template_icon s, workspace_id u?, workspace_name s?}}`,
		"JobLog": `{id i, created_at t, log_source (provisioner_daemon|provisioner), log_level (trace|debug|info|warn|error), stage s, output s}`,
		"Resource": `{id u, created_at t, job_id u, workspace_transition s, type s, name s, hide b, icon s, agents []Agent?,
			metadata []{key s, value s, sensitive b}?, daily_cost i}`,
		"Agent": `{id u, parent_id u~, created_at t, updated_at t, first_connected_at t?, last_connected_at t?, disconnected_at t?, started_at t?, ready_at t?,
			status (connecting|connected|disconnected|timeout),
			lifecycle_state (created|starting|start_timeout|start_error|ready|shutting_down|shutdown_timeout|shutdown_error|off),
			name s, resource_id u, architecture s, environment_variables {s:s}, operating_system s, logs_length i, logs_overflowed b, version s,
			api_version s, apps []App, latency {s:{preferred b, latency_ms f}}?, connection_timeout_seconds i, troubleshooting_url s,
			subsystems []s, health {healthy b, reason s?}, display_apps []s,
			log_sources []{workspace_agent_id u, id u, created_at t, display_name s, icon s},
			scripts []{id u, log_source_id u, log_path s, script s, cron s, run_on_start b, run_on_stop b, start_blocks_login b, timeout i, display_name s},
			startup_script_behavior (blocking|non-blocking)}`,
		"AgentLog": `{id i, created_at t, output s, level (trace|debug|info|warn|error), source_id u}`,
		"App": `{id u, url s?, external b, slug s, display_name s?, command s?, icon s?, subdomain b, subdomain_name s?,
			sharing_level (owner|authenticated|organization|public), healthcheck {url s, interval i, threshold i},
			health (disabled|initializing|healthy|unhealthy), group s?, hidden b, open_in (slim-window|tab), statuses []AppStatus}`,
		"AppStatus": `{id u, created_at t, workspace_id u, agent_id u, app_id u, state (working|idle|complete|failure), message s, uri s, icon s, needs_user_attention b}`,
		"Template": `{id u, created_at t, updated_at t, organization_id u, organization_name s, organization_display_name s, organization_icon s, name s,
			display_name s, provisioner (terraform|echo), active_version_id u, active_user_count i,
			build_time_stats {start {P50 i~, P95 i~}, stop {P50 i~, P95 i~}, delete {P50 i~, P95 i~}}, deleted b, description s, deprecated b,
			deprecation_message s, icon s, default_ttl_ms i, activity_bump_ms i, autostop_requirement {days_of_week []s, weeks i},
			autostart_requirement {days_of_week []s}, created_by_id u, created_by_name s, allow_user_autostart b, allow_user_autostop b,
			allow_user_cancel_workspace_jobs b, failure_ttl_ms i, time_til_dormant_ms i, time_til_dormant_autodelete_ms i, require_active_version b,
			max_port_share_level s, cors_behavior (simple|passthru), use_classic_parameter_flow b}`,
		"TemplateVersion": `{id u, template_id u?, organization_id u, created_at t, updated_at t, name s, message s, job Job, readme s,
			created_by {id u, username s}, archived b, has_external_agent b}`,
		"Parameter": `{name s, display_name s?, description s, description_plaintext s, type s, form_type s, mutable b, default_value s, icon s,
			options []{name s, description s, value s, icon s}, required b, ephemeral b}`,
		"Metadata": `{result {collected_at t, age i, value s, error s}, description {display_name s, key s, script s, interval i, timeout i}}`,
	} {
		all[name] = parseSchema(text)
	}
	return all
}()

// contractPlace is a deployment with a workspace that has something of each kind.
type contractPlace struct {
	*deployment
	c     *api.Client
	ws    api.Workspace
	agent fakeAgent
}

func newContractPlace(t *testing.T) contractPlace {
	d := start(t, Config{})
	c := d.owner()
	p := contractPlace{deployment: d, c: c, ws: d.configured(c, "blue", fullConfig)}
	p.agent = d.connect(d.agentToken(c, p.ws))
	d.waitConnected(c, p.ws, p.agent)
	if _, err := p.agent.UpdateStartup(t.Context(), &agentproto.UpdateStartupRequest{Startup: &agentproto.Startup{Version: "v2.34.0", ExpandedDirectory: "/root/src"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.agent.UpdateLifecycle(t.Context(), &agentproto.UpdateLifecycleRequest{Lifecycle: &agentproto.Lifecycle{State: agentproto.Lifecycle_STARTING, ChangedAt: timestamppb.Now()}}); err != nil {
		t.Fatal(err)
	}
	return p
}

// path puts ids into a path: {ws}, {build}, {agent}, {template} and {version}.
func (p contractPlace) path(path string) string {
	b := p.ws.LatestBuild
	return "/api/v2" + strings.NewReplacer("{ws}", p.ws.ID.String(), "{build}", b.ID.String(), "{agent}", b.Resources[0].Agents[0].ID.String(),
		"{template}", p.ws.TemplateID.String(), "{version}", b.TemplateVersionID.String(), "{me}", p.ws.OwnerID.String()).Replace(path)
}

// request is one that a client makes, and what it demands of the answer.
type request struct {
	method, path, body string
	status             int    // 0 means 200
	answer             string // a schema; "" means that nobody reads it
}

func (p contractPlace) make(t *testing.T, r request) {
	t.Helper()
	a := p.call(r.method, p.path(r.path), p.c.Token, r.body)
	if want := max(r.status, http.StatusOK); r.status == 0 && a.StatusCode != want || r.status != 0 && a.StatusCode != r.status {
		t.Errorf("%s %s = %d %.200s, want %d", r.method, r.path, a.StatusCode, a.body, want)
		return
	}
	if r.answer == "" {
		return
	}
	if kind := a.Header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		t.Errorf("%s %s: Content-Type %q, want JSON", r.method, r.path, kind)
	}
	mustConform(t, r.method+" "+r.path, r.answer, a.body)
}

// mustConform checks JSON that a client gets against a schema.
func mustConform(t *testing.T, from, schema string, text []byte) {
	t.Helper()
	v, err := decodeStrictly(text)
	if err != nil {
		t.Errorf("%s = %.200s: %v", from, text, err)
		return
	}
	for _, wrong := range contract.check("", parseSchema(schema), v) {
		t.Errorf("%s: %s", from, wrong)
	}
}

// TestContractOfVSCode makes the requests of the VS Code extension, in the order
// in which it makes them when somebody connects.
func TestContractOfVSCode(t *testing.T) {
	p := newContractPlace(t)
	for _, r := range []request{
		{"GET", "/users/me", "", 0, `User`},
		{"GET", "/buildinfo", "", 0, `BuildInfo`},
		{"GET", "/workspaces?q=owner%3Ame", "", 0, `{workspaces []Workspace, count i}`},
		{"GET", "/workspaces?q=", "", 0, `{workspaces []Workspace, count i}`},
		{"GET", "/workspaces?q=shared_with_user%3A{me}", "", http.StatusBadRequest, `Error`}, // it hides what is shared
		{"GET", "/workspaces?q=owner%3Ame%20status%3Arunning%20", "", 0, `{workspaces []Workspace, count i}`},
		{"GET", "/workspaces?q=blue", "", 0, `{workspaces []Workspace, count i}`},
		{"GET", "/templates?q=has-ai-task%3Atrue", "", 0, `[]Template`},
		{"GET", "/tasks?q=owner%3A%22me%22", "", http.StatusNotFound, `Error`}, // it hides its view
		{"GET", "/users/ada/workspace/blue", "", 0, `Workspace`},
		{"GET", "/users/ada/workspace/none", "", http.StatusNotFound, `Error`},
		{"GET", "/users/ada/workspace/blue/builds/1", "", 0, `Build`},
		{"GET", "/workspaces/{ws}", "", 0, `Workspace`},
		{"GET", "/deployment/ssh", "", 0, `{hostname_prefix s, hostname_suffix s, ssh_config_options {s:s}}`},
		{"GET", "/appearance", "", 0, `{application_name s, logo_url s, announcement_banners []{enabled b, message s, background_color s}}`},
		{"GET", "/templates/{template}", "", 0, `Template`},
		{"GET", "/templateversions/{version}", "", 0, `TemplateVersion`},
		{"GET", "/templateversions/{version}/rich-parameters", "", 0, `[]Parameter`},
		{"GET", "/templateversions/{version}/presets", "", 0, `[]{ID u, Name s, Parameters []{Name s, Value s}, Default b}`},
		{"GET", "/templateversions/{version}/resources", "", 0, `[]Resource`},
		{"GET", "/workspacebuilds/{build}/parameters", "", 0, `[]{name s, value s}`},
		{"GET", "/workspacebuilds/{build}/logs", "", 0, `[]JobLog`},
		{"GET", "/workspaceagents/{agent}/logs", "", 0, `[]AgentLog`},
		{"POST", "/workspaces/{ws}/builds", `{"transition":"stop"}`, http.StatusCreated, `Build`},
		{"POST", "/workspaces/{ws}/builds", `{"transition":"start","reason":"vscode_connection"}`, http.StatusCreated, `Build`},
		{"GET", "/no-such-route", "", http.StatusNotFound, `Error`},
	} {
		p.make(t, r)
	}
}

// TestContractOfToolbox makes the requests of the JetBrains Toolbox plugin,
// which asks for the workspaces every 5 s and ends on a word it does not know.
func TestContractOfToolbox(t *testing.T) {
	p := newContractPlace(t)
	for _, r := range []request{
		{"POST", "/users/me/keys", "", http.StatusCreated, `{key s}`}, // by coder login, which it runs
		{"GET", "/users/me", "", 0, `User`},
		{"GET", "/buildinfo", "", 0, `BuildInfo`},
		{"GET", "/appearance", "", 0, `{application_name s}`},
		{"GET", "/workspaces", "", 0, `{workspaces []Workspace}`},
		{"GET", "/workspaces?q=owner%3Ame", "", 0, `{workspaces []Workspace}`},
		{"GET", "/workspaces?q=nonsense%3A1", "", http.StatusBadRequest, `{message s, validations []{field (q), detail s}}`},
		{"GET", "/templates", "", 0, `[]Template`},
		{"GET", "/templates/{template}", "", 0, `Template`},
		{"GET", "/templateversions/{version}/resources", "", 0, `[]Resource`},
		{"GET", "/workspaces/{ws}", "", 0, `Workspace`},
		{"POST", "/workspaces/{ws}/builds", `{"template_version_id":"{version}","transition":"stop"}`, http.StatusCreated, `Build`},
		{"POST", "/workspaces/{ws}/builds", `{"template_version_id":"{version}","transition":"start","reason":"jetbrains_connection"}`, http.StatusCreated, `Build`},
		{"POST", "/workspaces/{ws}/builds", `{"template_version_id":"{version}","transition":"delete"}`, http.StatusCreated, `Build`},
	} {
		r.body = strings.TrimPrefix(p.path(r.body), "/api/v2")
		p.make(t, r)
	}
	expired := p.call("GET", "/api/v2/users/me", "aaaaaaaaaa-bbbbbbbbbbbbbbbbbbbbbb", "")
	if problem := expired.problem(t); expired.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(problem.Message, "You are signed out or your session has expired.") {
		t.Errorf("GET /users/me with a key that is none = %d %+v, want 401 and the words that clients know", expired.StatusCode, problem)
	}
}

// TestContractOfStreams opens the streams that the extension for VS Code reads,
// and checks the first unit of each.
func TestContractOfStreams(t *testing.T) {
	p := newContractPlace(t)
	agent := p.ws.LatestBuild.Resources[0].Agents[0]
	source := agent.Scripts[0].LogSourceID
	if _, err := p.agent.BatchCreateLogs(t.Context(), &agentproto.BatchCreateLogsRequest{LogSourceId: source[:], Logs: []*agentproto.Log{{CreatedAt: timestamppb.Now(), Output: "hello", Level: agentproto.Log_INFO}}}); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []struct{ path, unit string }{
		{"/workspaces/{ws}/watch-ws", `{type (data), data Workspace}`},
		{"/workspaceagents/{agent}/watch-metadata-ws", `{type (data), data []Metadata}`},
		{"/workspaceagents/{agent}/logs?follow=true", `[]AgentLog`},
		{"/workspaceagents/{agent}/logs?follow", `[]AgentLog`},
	} {
		ws, _, err := p.dial(p.c, p.path(stream.path))
		if err != nil {
			t.Errorf("open %s: %v", stream.path, err)
			continue
		}
		kind, text, err := ws.Read(t.Context())
		if err != nil || kind != websocket.MessageText {
			t.Errorf("%s: first unit %.100q of kind %v, %v; want text", stream.path, text, kind, err)
			continue
		}
		mustConform(t, stream.path, stream.unit, text)
		ws.CloseNow()
	}
	for _, stream := range []struct{ path, unit string }{
		{"/workspaces/{ws}/watch", `Workspace`},
		{"/workspaceagents/{agent}/watch-metadata", `[]Metadata`},
	} {
		p.checkEvents(t, stream.path, stream.unit)
	}
	// A build of this template has no logs: its stream ends at once, and well.
	logs, _, err := p.dial(p.c, p.path("/workspacebuilds/{build}/logs?follow=true&after=0"))
	if err != nil {
		t.Fatalf("open the logs of the build: %v", err)
	}
	if _, text, err := logs.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("logs of the build: %.100q, %v; want the end, with status 1000", text, err)
	}
	inbox, _, err := p.dial(p.c, p.path("/notifications/inbox/watch?format=plaintext&templates=a9d027b4-ac49-4fb1-9f6d-45af15f64e7a,f047f6a3-5713-40f7-85aa-0394cce9fa3a&targets={ws}"))
	if err != nil {
		t.Fatalf("open the inbox: %v", err)
	}
	inbox.CloseNow()
}

// TestContractOfBuildLogs follows the log of a build from before its first line to
// its end, as the extension for VS Code does when it starts a workspace.
func TestContractOfBuildLogs(t *testing.T) {
	p := newContractPlace(t)
	ctx := t.Context()
	b, err := p.store.CreateBuild(ctx, p.ws.ID, store.NewBuild{Transition: store.TransitionStop, InitiatorID: p.ws.OwnerID})
	if err != nil {
		t.Fatal(err)
	}
	path := "/workspacebuilds/" + b.ID.String() + "/logs"
	say := func(lines ...store.JobLog) {
		t.Helper()
		if _, err := p.store.AppendJobLogs(ctx, b.JobID, lines); err != nil {
			t.Fatal(err)
		}
		p.events.changed(p.ws.ID)
	}
	say(store.JobLog{CreatedAt: time.Now(), Source: "provisioner_daemon", Level: "info", Stage: "Setting up"})
	logs, _, err := p.dial(p.c, p.path(path+"?follow=true&after=0"))
	if err != nil {
		t.Fatal(err)
	}
	mustSend := func(id string) {
		t.Helper()
		kind, text, err := logs.Read(ctx)
		if err != nil || kind != websocket.MessageText || !bytes.HasPrefix(text, []byte(`{"id":`+id+",")) {
			t.Fatalf("line %s of the build = %.200q of kind %v, %v; want text", id, text, kind, err)
		}
		mustConform(t, path, `JobLog`, text)
	}
	mustSend("1")
	say(store.JobLog{CreatedAt: time.Now(), Source: "provisioner", Level: "error", Stage: "Applying", Output: "no \"disk\"\u2028 left"}, store.JobLog{CreatedAt: time.Now(), Source: "provisioner", Level: "warn"})
	mustSend("2")
	mustSend("3")
	p.make(t, request{"GET", path, "", 0, `[]JobLog`})
	if err := p.store.CompleteBuild(ctx, b.ID, store.BuildResult{}); err != nil {
		t.Fatal(err)
	}
	p.events.changed(p.ws.ID)
	if _, text, err := logs.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("after the end of the build: %.100q, %v; want status 1000", text, err)
	}
}

// checkEvents reads the first event of a stream in the form of older clients.
func (p contractPlace) checkEvents(t *testing.T, path, unit string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL().String()+p.path(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(api.HeaderToken, p.c.Token)
	res, err := p.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %s %q, want %q", path, name, got, want)
		}
	}
	lines := firstEvent(t, res)
	i := slices.Index(lines, "event: data")
	if i < 0 || i+1 == len(lines) {
		t.Fatalf("%s: first event %q, want event: data and its line of data", path, lines)
	}
	data, _ := strings.CutPrefix(lines[i+1], "data: ")
	mustConform(t, path, unit, []byte(data))
}

// firstEvent returns the lines of a stream up to the first empty one after data.
func firstEvent(t *testing.T, res *http.Response) (lines []string) {
	t.Helper()
	var got bytes.Buffer
	buf := make([]byte, 64<<10)
	for {
		n, err := res.Body.Read(buf)
		got.Write(buf[:n])
		if i := strings.Index(got.String(), "data: "); i >= 0 && strings.Contains(got.String()[i:], "\n\n") {
			return strings.Split(got.String(), "\n")
		}
		if err != nil {
			t.Fatalf("read events: %v after %.200q", err, got.String())
		}
	}
}
