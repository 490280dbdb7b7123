package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

func TestBadInput(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	agent := ws.LatestBuild.Resources[0].Agents[0].ID.String()
	workspaces := "/api/v2/workspaces/" + ws.ID.String()
	for _, tc := range []struct {
		method, path, body string
		status             int
		message, field     string
	}{
		{"GET", "/api/v2/nothing/here", "", 404, "Route not found.", ""},
		{"GET", "/nothing", "", 404, "Route not found.", ""},
		{"DELETE", "/api/v2/users", "", 405, "Method not allowed.", ""},
		{"DELETE", "/api/v2/users/me", "", 400, "You cannot delete yourself.", ""},
		{"PUT", "/api/v2/users/me/status/suspend", "", 400, "You cannot suspend yourself.", ""},
		{"PUT", "/api/v2/users/me/roles", `{"roles":[]}`, 409, "This is the last owner who may sign in. Give the role to another user first.", ""},
		{"PUT", "/api/v2/users/me/roles", `{"roles":["king"]}`, 400, "Validation failed.", "roles"},
		{"PUT", "/api/v2/users/me/profile", `{"username":"a b"}`, 400, "Validation failed.", "username"},
		{"PUT", "/api/v2/users/me/password", `{"old_password":"` + password + `","password":"guess"}`, 400, "Validation failed.", "password"},
		{"PUT", "/api/v2/users/me/password", `{"old_password":"` + password + `","password":"` + password + `"}`, 400, "New password cannot match old password.", ""},
		{"POST", "/api/v2/users", `{"username":"x","email":"x","password":"` + password + `"}`, 400, "Validation failed.", "email"},
		{"POST", "/api/v2/users", `{"username":"x","email":"x@example.com"}`, 400, "Validation failed.", "password"},
		{"POST", "/api/v2/users", `{"username":"x","email":"x@example.com","login_type":"none","password":"` + password + `"}`, 400, "Validation failed.", "password"},
		{"POST", "/api/v2/users", `{"username":"x","email":"x@example.com","login_type":"oidc"}`, 400, "Validation failed.", "login_type"},
		{"POST", "/api/v2/users", `{"username":"x","email":"x@example.com","login_type":"none","user_status":"suspended"}`, 400, "Validation failed.", "user_status"},
		{"POST", "/api/v2/users", `{"username":"x","email":"x@example.com","organization_ids":["` + uuid.NewString() + `"]}`, 400, "Validation failed.", "organization_ids"},
		{"PUT", workspaces + "/autostart", `{"schedule":"@daily"}`, 400, "Validation failed.", "schedule"},
		{"PUT", workspaces + "/autostart", `{"schedule":"CRON_TZ=No/Where 30 9 * * *"}`, 400, "Validation failed.", "schedule"},
		{"PUT", workspaces + "/autoupdates", `{"automatic_updates":"maybe"}`, 400, "Validation failed.", "automatic_updates"},
		{"GET", "/api/v2/workspaces/not-an-id", "", 400, "Validation failed.", "workspace"},
		{"GET", "/api/v2/workspacebuilds/1", "", 400, "Validation failed.", "build"},
		{"GET", "/api/v2/workspaceagents/1/connection", "", 400, "Validation failed.", "agent"},
		{"GET", "/api/v2/templates/byo", "", 400, "Validation failed.", "template"},
		{"GET", "/api/v2/workspaces/" + uuid.NewString(), "", 404, "Resource not found or you do not have access to this resource", ""},
		{"GET", "/api/v2/users/nobody", "", 404, "Resource not found or you do not have access to this resource", ""},
		{"GET", "/api/v2/users/me/workspace/none", "", 404, "Resource not found or you do not have access to this resource", ""},
		{"GET", "/api/v2/users/me/workspace/blue/builds/x", "", 400, "Validation failed.", "buildnumber"},
		{"GET", "/api/v2/users/me/workspace/blue/builds/99", "", 404, "Resource not found or you do not have access to this resource", ""},
		{"GET", "/api/v2/workspaces?limit=-1", "", 400, "Validation failed.", "limit"},
		{"GET", "/api/v2/workspaces?q=%22", "", 400, "Validation failed.", "q"},
		{"GET", workspaces + "?include_deleted=maybe", "", 400, "Validation failed.", "include_deleted"},
		{"GET", workspaces + "/builds?since=yesterday", "", 400, "Validation failed.", "since"},
		{"POST", workspaces + "/builds", `{"transition":"explode"}`, 400, "Validation failed.", "transition"},
		{"POST", workspaces + "/builds", `{"transition":"start","reason":"boredom"}`, 400, "Validation failed.", "reason"},
		{"POST", workspaces + "/builds", `{"transition":"start","reason":"ssh_connection"}`, 409, "The workspace is started already.", ""},
		{"POST", workspaces + "/builds", `{"transition":"start","template_version_id":"` + uuid.NewString() + `"}`, 400, "Validation failed.", "template_version_id"},
		{"POST", workspaces + "/builds", `{`, 400, "Request body must be valid JSON.", ""},
		{"POST", workspaces + "/builds", `{} {}`, 400, "Request body must be valid JSON.", ""},
		{"POST", workspaces + "/builds", `{"transition":7}`, 400, "Request body must be valid JSON.", ""},
		{"POST", workspaces + "/usage", `{"agent_id":"` + agent + `"}`, 400, "Validation failed.", "agent_id"},
		{"POST", workspaces + "/usage", `{"agent_id":"` + uuid.NewString() + `","app_name":"ssh"}`, 400, "Validation failed.", "agent_id"},
		{"POST", "/api/v2/users/me/workspaces", `{"name":"x"}`, 400, "Validation failed.", "template_id"},
		{"POST", "/api/v2/users/me/workspaces", `{"name":"x","template_id":"` + uuid.NewString() + `"}`, 400, "Validation failed.", "template_id"},
		{"POST", "/api/v2/users/me/workspaces", `{"name":"x y;z","template_id":"6b0a9df6-3a2c-4c53-9c57-62796f000001"}`, 400, "Validation failed.", "name"},
		{"POST", "/api/v2/users/me/workspaces", `{"name":"x","template_id":"6b0a9df6-3a2c-4c53-9c57-62796f000001","autostart_schedule":"9:30"}`, 400, "Validation failed.", "autostart_schedule"},
		{"POST", "/api/v2/users/me/workspaces", `{"name":"x","template_id":"6b0a9df6-3a2c-4c53-9c57-62796f000001","automatic_updates":"maybe"}`, 400, "Validation failed.", "automatic_updates"},
		{"POST", "/api/v2/users/me/keys/tokens", `{"lifetime":-1}`, 400, "Validation failed.", "lifetime"},
		{"POST", "/api/v2/users/me/keys/tokens", `{"scope":"everything"}`, 400, "Validation failed.", "scope"},
		{"GET", "/api/v2/workspaceagents/" + agent + "/coordinate", "", 400, "Unknown or unsupported API version", "version"},
		{"GET", "/api/v2/workspaceagents/" + agent + "/coordinate?version=2.99", "", 400, "Unknown or unsupported API version", "version"},
		{"GET", "/api/v2/workspaceagents/" + agent + "/coordinate?version=2.0&resume_token=x.y.z", "", 401, "The resume token is not valid.", "resume_token"},
		{"GET", "/api/v2/workspaceagents/" + agent + "/coordinate?version=2.0", "", 426, "This route is a WebSocket.", ""},
		{"GET", "/api/v2/init-script/plan9/amd64", "", 400, "Unknown operating system or architecture.", ""},
		{"GET", "/bin/coder-linux-amd64.asc", "", 404, "There is no such binary.", ""},
		{"GET", "/bin/../../etc/passwd", "", 404, "There is no such binary.", ""},
		{"GET", "/bin/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "", 404, "There is no such binary.", ""},
	} {
		a := d.call(tc.method, tc.path, c.Token, tc.body)
		p := a.problem(t)
		field := ""
		if len(p.Validations) > 0 {
			field = p.Validations[0].Field
		}
		if a.StatusCode != tc.status || p.Message != tc.message || field != tc.field {
			t.Errorf("%s %s %s = %d %q, field %q, want %d %q, field %q", tc.method, tc.path, tc.body, a.StatusCode, p.Message, field, tc.status, tc.message, tc.field)
		}
		if a.Header.Get(api.HeaderBuildVersion) != api.Version || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v, want version and nosniff", tc.method, tc.path, a.Header)
		}
	}
}

func TestBodyOverTheLimit(t *testing.T) {
	d := start(t, Config{})
	big := `{"email":"` + strings.Repeat("x", maxBody) + `"}`
	if a := d.call("POST", "/api/v2/users/login", "", big); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("POST of %d bytes = %d %s, want 413", len(big), a.StatusCode, a.body)
	}
	// Without a length: found out while reading.
	req, _ := http.NewRequestWithContext(t.Context(), "POST", d.URL().String()+"/api/v2/users/login", io.MultiReader(strings.NewReader(big)))
	res, err := d.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("POST of a body without a length = %d, want 413", res.StatusCode)
	}
}

func TestRefusedTokens(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	id, _, _ := strings.Cut(c.Token, "-")
	for token, detail := range map[string]string{
		"":                                  "must be given",
		"garbage":                           "Invalid API key format",
		"0123456789-0123456789012345678901": "API key is invalid.",
		id + "-0123456789012345678901":      "API key secret is invalid.",
	} {
		a := d.call("GET", "/api/v2/users/me", token, "")
		p := a.problem(t)
		if a.StatusCode != http.StatusUnauthorized || !strings.Contains(p.Detail, detail) ||
			p.Message != "You are signed out or your session has expired. Please sign in again to continue." {
			t.Errorf("GET users/me with %q = %d %+v, want 401 with detail %q", token, a.StatusCode, p, detail)
		}
	}
	for token, detail := range map[string]string{
		"": "must be given", "garbage": "not a UUID", uuid.NewString(): "No workspace has an agent",
	} {
		a := d.call("GET", "/api/v2/workspaceagents/me/rpc", token, "", "Connection", "Upgrade", "Upgrade", "websocket")
		if p := a.problem(t); a.StatusCode != http.StatusUnauthorized || !strings.Contains(p.Detail, detail) {
			t.Errorf("me/rpc with %q = %d %+v, want 401 with detail %q", token, a.StatusCode, p, detail)
		}
	}
}

// The texts of a wrong password and an unknown user are one text, and so is
// their cost.
func TestLoginTellsNothing(t *testing.T) {
	d := start(t, Config{})
	d.owner()
	attempt := func(email string) (answer, time.Duration) {
		began := time.Now()
		a := d.call("POST", "/api/v2/users/login", "", `{"email":"`+email+`","password":"wrong"}`)
		return a, time.Since(began)
	}
	known, unknown := []time.Duration{}, []time.Duration{}
	for range 9 {
		a, took := attempt(email)
		b, tookB := attempt("nobody@example.com")
		if a.StatusCode != http.StatusUnauthorized || b.StatusCode != http.StatusUnauthorized || string(a.body) != string(b.body) {
			t.Fatalf("wrong password: %d %s, unknown user: %d %s; want 401 twice with one text", a.StatusCode, a.body, b.StatusCode, b.body)
		}
		known, unknown = append(known, took), append(unknown, tookB)
	}
	slices.Sort(known)
	slices.Sort(unknown)
	if m, n := known[4], unknown[4]; m > 3*n || n > 3*m {
		t.Errorf("median time: wrong password %v, unknown user %v; want the same order", m, n)
	}
}

func TestRateLimits(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	last := answer{}
	for range loginsPerMinute + 1 {
		last = d.call("POST", "/api/v2/users/validate-password", "", `{"password":"x"}`)
	}
	if last.StatusCode != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" || last.problem(t).Message == "" {
		t.Errorf("call %d of a minute = %d %v, want 429 with Retry-After", loginsPerMinute+1, last.StatusCode, last.Header)
	}
	for range requestsPerMinute + 1 {
		last = d.call("GET", "/api/v2/users/me", c.Token, "")
	}
	if last.StatusCode != http.StatusTooManyRequests {
		t.Errorf("request %d of a minute = %d, want 429", requestsPerMinute+1, last.StatusCode)
	}
	if a := d.call("GET", "/api/v2/users/me", c.Token, "", "X-Coder-Bypass-Ratelimit", "true"); a.StatusCode != http.StatusOK {
		t.Errorf("owner with the bypass header = %d, want 200", a.StatusCode)
	}
	if a := d.call("GET", "/api/v2/workspaces", c.Token, ""); a.StatusCode != http.StatusOK {
		t.Errorf("another route = %d, want 200", a.StatusCode)
	}
}

func TestLimiterIsBounded(t *testing.T) {
	var l limiter
	now := time.Now()
	for range maxBuckets + 1000 {
		l.allow(bucket{uuid.NewString(), "x"}, 5, now)
	}
	if len(l.counts) > maxBuckets+1 {
		t.Errorf("%d buckets, want at most %d", len(l.counts), maxBuckets+1)
	}
	if _, ok := l.allow(bucket{"late", "x"}, 5, now); ok {
		t.Error("a caller beyond the bound was allowed, want it to share the bucket that is full")
	}
	if _, ok := l.allow(bucket{"late", "x"}, 5, now.Add(limitWindow)); !ok {
		t.Error("a caller in the next minute was refused")
	}
}

// Bytes that are no protocol end their connection and nothing else.
func TestGarbageOnTheSockets(t *testing.T) {
	d := start(t, Config{})
	secret := "hunter2-in-garbage"
	for _, raw := range []string{"\x00\x01\x02" + secret, "GET " + secret + "\r\n\r\n", "\x16\x03\x01" + secret, "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"} {
		for _, addr := range []string{d.Addr().String(), d.listening.relayTCP.String()} {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write([]byte(raw))
			_ = conn.(*net.TCPConn).CloseWrite() // the server may have closed it already
			if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, bufio.NewReader(conn)); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("%q on %s: the connection is still open", raw, addr)
			}
			conn.Close()
		}
	}
	if a := d.call("GET", "/healthz", "", ""); a.StatusCode != http.StatusOK {
		t.Errorf("GET /healthz afterwards = %d", a.StatusCode)
	}
	if strings.Contains(d.logs.String(), secret) {
		t.Error("the garbage is in the log")
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, q := range []string{"", "owner:me", `name:"a b" status:running`, `"`, "a:b:c", "::", `"":""`, "id:1,2"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		terms, err := parseQuery(q, "name", "owner", "status")
		if err != nil {
			if p := problemOf(err); p == nil || p.status != http.StatusBadRequest {
				t.Errorf("parseQuery(%q) = %v, want a 400", q, err)
			}
			return
		}
		for key := range terms {
			if !slices.Contains([]string{"name", "owner", "status"}, key) {
				t.Errorf("parseQuery(%q) has the key %q", q, key)
			}
		}
	})
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/cli-auth", "//evil.example", "/\\evil.example", "https://evil.example", "/a?b=c", "javascript:alert(1)", "/%2f/evil"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to := localPath(s)
		if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, "/\\") {
			t.Errorf("localPath(%q) = %q, want a path of this server", s, to)
		}
	})
}
