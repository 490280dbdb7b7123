package server

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	agentproto "github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// nullable are the fields that clients expect to be null.
var nullable = []string{
	"deadline", "max_deadline", "deleting_at", "dormant_at", "next_start_at", "latest_app_status", "parent_id",
	"template_version_preset_id", "most_recently_seen", "P50", "P95",
}

// findNulls returns the paths of nulls that no client expects.
func findNulls(path string, v any) (found []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			if child == nil && slices.Contains(nullable, k) {
				continue
			}
			found = append(found, findNulls(path+"."+k, child)...)
		}
	case []any:
		for _, child := range v {
			found = append(found, findNulls(path+"[]", child)...)
		}
	case nil:
		found = append(found, path)
	}
	return found
}

// lookup follows a path like "a.b.0.c".
func lookup(v any, path string) (any, bool) {
	for part := range strings.SplitSeq(path, ".") {
		switch now := v.(type) {
		case map[string]any:
			child, has := now[part]
			if !has {
				return nil, false
			}
			v = child
		case []any:
			if part != "0" || len(now) == 0 {
				return nil, false
			}
			v = now[0]
		default:
			return nil, false
		}
	}
	return v, true
}

// The fields that the strictest clients require, and no null where they expect
// a list.
func TestShapesOfAnswers(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	if _, err := c.CreateToken(t.Context(), api.Me, api.CreateTokenRequest{TokenName: "ci"}); err != nil {
		t.Fatal(err)
	}
	agent := ws.LatestBuild.Resources[0].Agents[0].ID.String()
	version := ws.LatestBuild.TemplateVersionID.String()
	workspace := []string{
		"id", "owner_name", "template_id", "template_name", "template_display_name", "template_icon", "outdated", "name", "latest_build.id",
		"latest_build.template_version_id", "latest_build.build_number", "latest_build.status", "latest_build.resources.0.agents.0.id",
		"latest_build.resources.0.agents.0.status", "latest_build.resources.0.agents.0.lifecycle_state", "latest_build.resources.0.agents.0.name",
		"latest_build.resources.0.agents.0.scripts", "latest_build.resources.0.agents.0.apps", "latest_build.job.status", "health.failing_agents",
	}
	below := func(prefix string, fields []string) (out []string) {
		for _, f := range fields {
			out = append(out, prefix+f)
		}
		return out
	}
	for path, fields := range map[string][]string{
		"/buildinfo":                                 {"external_url", "version", "dashboard_url", "agent_api_version", "deployment_id"},
		"/users/authmethods":                         {"password.enabled", "github.enabled", "oidc.signInText"},
		"/users/me":                                  {"id", "username", "roles.0.name", "organization_ids.0"},
		"/users/me/login-type":                       {"login_type"},
		"/users":                                     {"users.0.id", "count"},
		"/users?q=status:active%20ada":               {"users.0.id", "count"},
		"/users/ada/organizations":                   {"0.id"},
		"/organizations":                             {"0.id"},
		"/organizations/default":                     {"id", "name", "is_default"},
		"/users/me/keys/tokens":                      {"0.id", "0.token_name", "0.scopes", "0.username"},
		"/users/me/keys/tokens/ci":                   {"id"},
		"/users/me/keys/tokens/tokenconfig":          {"max_token_lifetime"},
		"/deployment/ssh":                            {"hostname_prefix", "hostname_suffix", "ssh_config_options"},
		"/appearance":                                {"application_name", "announcement_banners"},
		"/entitlements":                              {"features", "warnings", "errors", "has_license"},
		"/applications/host":                         {"host"},
		"/templates":                                 {"0.id", "0.active_version_id", "0.name", "0.display_name", "0.deprecated"},
		"/templates?q=has-ai-task:true":              {},
		"/templates/" + store.BYOTemplateID.String(): {"active_version_id"},
		"/templates/" + store.BYOTemplateID.String() + "/versions": {"0.id"},
		"/organizations/default/templates/byo":                     {"active_version_id"},
		"/organizations/default/templates":                         {"0.id"},
		"/templateversions/" + version:                             {"id", "message", "job.status", "name"},
		"/templateversions/" + version + "/rich-parameters":        {},
		"/templateversions/" + version + "/presets":                {},
		"/templateversions/" + version + "/variables":              {},
		"/templateversions/" + version + "/resources":              {"0.agents.0.name"},
		"/workspaces":                                                        append([]string{"count"}, below("workspaces.0.", workspace)...),
		"/workspaces/" + ws.ID.String():                                      workspace,
		"/workspaces/" + ws.ID.String() + "/builds":                          {"0.id"},
		"/users/me/workspace/blue":                                           workspace,
		"/users/me/workspace/blue/builds/1":                                  {"status", "job.status"},
		"/workspacebuilds/" + ws.LatestBuild.ID.String():                     {"status"},
		"/workspacebuilds/" + ws.LatestBuild.ID.String() + "/parameters":     {},
		"/workspacebuilds/" + ws.LatestBuild.ID.String() + "/resources":      {"0.agents.0.id"},
		"/workspaceagents/" + agent:                                          {"id", "status"},
		"/workspaceagents/" + agent + "/logs":                                {},
		"/workspaceagents/" + agent + "/connection":                          {"derp_map.Regions.999.Nodes.0.HostName", "disable_direct_connections"},
		"/workspaceagents/connection":                                        {"derp_map.Regions.999.EmbeddedRelay"},
		"/workspaces/" + ws.ID.String() + "/external-agent/main/credentials": {"agent_token", "command"},
	} {
		a := d.call("GET", "/api/v2"+path, c.Token, "")
		var v any
		if err := json.Unmarshal(a.body, &v); err != nil || a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("GET %s = %d %.200s", path, a.StatusCode, a.body)
			continue
		}
		if nulls := findNulls("", v); len(nulls) > 0 {
			t.Errorf("GET %s has null in %v", path, nulls)
		}
		for _, f := range fields {
			if got, has := lookup(v, f); !has || got == nil {
				t.Errorf("GET %s: %s = %v, want a value", path, f, got)
			}
		}
	}
}

func TestBlockDirect(t *testing.T) {
	d := start(t, Config{BlockDirect: true})
	c := d.owner()
	ws := d.workspace(c, "blue")
	info, err := c.ConnectionInfo(t.Context(), ws.LatestBuild.Resources[0].Agents[0].ID)
	if err != nil || !info.DisableDirectConnections || info.DERPMap.Regions[999].Nodes[0].STUNPort != -1 {
		t.Errorf("ConnectionInfo = %+v, %v, want direct connections off and no STUN", info, err)
	}
	m, err := d.connect(d.agentToken(c, ws)).GetManifest(t.Context(), &agentproto.GetManifestRequest{})
	if err != nil || !m.DisableDirectConnections {
		t.Errorf("Manifest = %v, %v, want direct connections off", m, err)
	}
}

// dataVersion tells whether somebody else has written to the database.
func dataVersion(t *testing.T, conn *sql.Conn) (n int64) {
	t.Helper()
	if err := conn.QueryRowContext(t.Context(), "PRAGMA data_version").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A deployment where nothing changes writes nothing, though agents and clients
// are connected, ask and report.
func TestIdleWritesNothing(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	id := ws.LatestBuild.Resources[0].Agents[0].ID
	a := d.connect(d.agentToken(c, ws))
	agent := coordinateStream(t, a.Conn)
	send(t, agent, update(agentNode(t, id)))
	d.waitConnected(c, ws, a)

	db, err := sql.Open("sqlite", "file:"+filepath.Join(d.cfg.DataDir, "berth.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := dataVersion(t, conn)

	client, err := c.Coordinate(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	stream := coordinateStream(t, client)
	for range 20 {
		send(t, stream, update(node(t, clientAddress)))
		send(t, agent, update(agentNode(t, id)))
		if _, err := a.UpdateStats(t.Context(), &agentproto.UpdateStatsRequest{Stats: &agentproto.Stats{ConnectionCount: 1}}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Workspaces(t.Context(), "owner:me", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ConnectionInfo(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if after := dataVersion(t, conn); after != before {
		t.Errorf("the database was written to %d times by a deployment where nothing changed", after-before)
	}
	if err := c.ReportUsage(t.Context(), ws.ID, api.UsageRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateSessionKey(t.Context(), api.Me); err != nil {
		t.Fatal(err)
	}
	if after := dataVersion(t, conn); after == before {
		t.Error("a new key was not seen: the test counts nothing")
	}
}
