package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	agentproto "github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/coordinator"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
	"github.com/berthdev/berth/tailnet/proto"
)

// Rule 2: what an agent says about its addresses is not believed.
func TestRule2RoutingIsDerivedNotReceived(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	victim := d.workspace(c, "victim").LatestBuild.Resources[0].Agents[0].ID
	thief := d.connect(d.agentToken(c, d.workspace(c, "thief")))
	stream := coordinateStream(t, thief.Conn)
	send(t, stream, update(agentNode(t, victim)))
	if res, err := stream.Recv(); err != nil || !strings.Contains(res.Error, "not this peer's to use") {
		t.Errorf("an agent that takes another's address: %v, %v, want a refusal", res, err)
	}
	// A client cannot reach agents by saying that it is one.
	conn, err := c.Coordinate(t.Context(), victim, "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream = coordinateStream(t, conn)
	send(t, stream, &proto.CoordinateRequest{ReadyForHandshake: []*proto.CoordinateRequest_ReadyForHandshake{{Id: victim[:]}}})
	if res, err := stream.Recv(); err != nil || !strings.Contains(res.Error, coordinator.ErrRefused.Error()) {
		t.Errorf("a client that is ready for a handshake: %v, %v, want a refusal", res, err)
	}
}

// Rule 3: tokens and passwords reach neither the log nor the database, in no
// way of using them, right or wrong.
func TestRule3TokensNeverLoggedOrStored(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	agentToken := d.agentToken(c, ws)
	apiToken, err := c.CreateToken(t.Context(), api.Me, api.CreateTokenRequest{TokenName: "ci"})
	if err != nil {
		t.Fatal(err)
	}
	a := d.connect(agentToken)
	d.waitConnected(c, ws, a)
	id := ws.LatestBuild.Resources[0].Agents[0].ID
	conn, err := c.Coordinate(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	resume, err := proto.NewDRPCTailnetClient(conn).RefreshResumeToken(t.Context(), &proto.RefreshResumeTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if conn, err = c.Coordinate(t.Context(), id, resume.Token); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	d.call("GET", "/api/v2/users/me?coder_session_token="+url.QueryEscape(c.Token), "", "")
	d.call("GET", "/api/v2/users/me", "", "", "Authorization", "Bearer "+apiToken.Key)
	d.call("GET", "/api/v2/users/me", "", "", "Cookie", api.CookieToken+"="+apiToken.Key)
	d.call("POST", "/api/v2/users/login", "", `{"email":"`+email+`","password":"wrong-`+password+`"}`)
	wrong := uuid.NewString()
	d.call("GET", "/api/v2/workspaceagents/me/rpc", wrong, "")
	a.Close()
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}

	_, sessionSecret, _ := strings.Cut(c.Token, "-")
	_, apiSecret, _ := strings.Cut(apiToken.Key, "-")
	for what, secret := range map[string]string{
		"session token": sessionSecret, "API token": apiSecret, "agent token": agentToken,
		"unknown agent token": wrong, "password": password, "resume token": resume.Token,
	} {
		if strings.Contains(d.logs.String(), secret) {
			t.Errorf("the %s is in the log", what)
		}
		for _, name := range []string{"berth.db", "berth.db-wal"} {
			raw, err := os.ReadFile(filepath.Join(d.cfg.DataDir, name))
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if bytes.Contains(raw, []byte(secret)) {
				t.Errorf("the %s is in %s", what, name)
			}
		}
	}
}

// Rule 3: the tokens of a build that is superseded are dead when the request
// that supersedes it is answered, also where they were used already.
func TestRule3SupersededTokensAreDead(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.workspace(c, "blue")
		token := d.agentToken(c, ws)
		d.waitConnected(c, ws, d.connect(token))
		if _, err := c.CreateBuild(t.Context(), ws.ID, api.CreateBuildRequest{Transition: api.TransitionStop}); err != nil {
			t.Fatal(err)
		}
		if a := d.call("GET", "/api/v2/workspaceagents/me/rpc", token, ""); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("agent token after a stop = %d, want 401", a.StatusCode)
		}
	})
}

// Rule 3: no URL and no script of ours has a token in it.
func TestRule3NoTokenInURLs(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	cred, err := c.ExternalAgentCredentials(t.Context(), d.workspace(c, "blue").ID, "main")
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(cred.Command) {
		if strings.Contains(word, "://") && strings.Contains(word, cred.AgentToken) {
			t.Errorf("command %q has the token in a URL", cred.Command)
		}
	}
	if script := d.call("GET", "/api/v2/init-script/linux/amd64", "", ""); bytes.Contains(script.body, []byte(cred.AgentToken)) {
		t.Error("the script has the token in it")
	}
}

// Rule 4: ids in payloads are those of the caller's own workspace. (The calls
// of an agent are in TestAgentSaysNonsense.)
func TestRule4IdsAreTheCallersOwn(t *testing.T) {
	d := start(t, Config{})
	owner, other := d.owner(), d.member("bob")
	theirs := d.workspace(owner, "blue")
	mine := d.workspace(other, "green")
	agent := theirs.LatestBuild.Resources[0].Agents[0].ID
	err := other.ReportUsage(t.Context(), mine.ID, api.UsageRequest{AgentID: &agent, AppName: "ssh"})
	if api.StatusCode(err) != http.StatusBadRequest {
		t.Errorf("usage of one's workspace through another's agent = %v, want 400", err)
	}
	if _, err := other.CreateBuild(t.Context(), theirs.ID, api.CreateBuildRequest{Transition: api.TransitionDelete}); api.StatusCode(err) != http.StatusNotFound {
		t.Errorf("delete of another's workspace = %v, want 404", err)
	}
	if _, err := other.CreateToken(t.Context(), "ada", api.CreateTokenRequest{}); api.StatusCode(err) != http.StatusNotFound {
		t.Errorf("token for another user = %v, want 404", err)
	}
	id, _, _ := strings.Cut(owner.Token, "-")
	if err := other.DeleteKey(t.Context(), api.Me, id); api.StatusCode(err) != http.StatusNotFound {
		t.Errorf("delete of another's key = %v, want 404", err)
	}
	if _, err := other.CreateWorkspace(t.Context(), "ada", api.CreateWorkspaceRequest{TemplateID: &store.BYOTemplateID, Name: "x"}); api.StatusCode(err) != http.StatusNotFound {
		t.Errorf("workspace for another user = %v, want 404", err)
	}
}

// Rule 5: what ends up in scripts, commands and pages has a grammar or is
// escaped.
func TestRule5StringsThatReachShellsAndPages(t *testing.T) {
	for _, bad := range []string{
		"http://a$(id)", "http://a;b", "http://a'b", "http://a`b`", "http://user:x@a", "http://a/b", "http://a?b=c", "ftp://a", "http://",
		"http://a b", "http://[::1", "https://-a",
	} {
		u, err := url.Parse(bad)
		if err != nil {
			continue
		}
		if err := (Config{AccessURL: u, DataDir: "x"}).Check(); err == nil {
			t.Errorf("access URL %q was taken", bad)
		}
	}
	for _, good := range []string{"http://127.0.0.1:7080", "https://berth.example.com", "https://[2001:db8::1]:8443/"} {
		if err := (Config{AccessURL: mustURL(t, good), DataDir: "x"}).Check(); err != nil {
			t.Errorf("access URL %q: %v", good, err)
		}
	}
	d := start(t, Config{})
	d.owner()
	script := `"><script>alert(1)</script>`
	form := url.Values{"email": {script}, "password": {"x"}, "redirect": {"/" + script}}.Encode()
	a := d.call("POST", "/login", "", form, "Content-Type", "application/x-www-form-urlencoded", "Origin", d.URL().String())
	if a.StatusCode != http.StatusUnauthorized || bytes.Contains(a.body, []byte("<script")) {
		t.Errorf("login page after a bad login = %d %s", a.StatusCode, a.body)
	}
	if got := a.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") {
		t.Errorf("Content-Security-Policy = %q", got)
	}
}

// Rule 6: one caller cannot make the server hold what it likes. (Bodies and
// rates are in TestBodyOverTheLimit and TestRateLimits, log bytes in
// TestAgentLogs.)
func TestRule6LimitsOnSockets(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	socket, _, err := d.dial(c, "/api/v2/workspaces/"+ws.ID.String()+"/watch-ws")
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Write(t.Context(), websocket.MessageText, make([]byte, 1<<20)); err == nil {
		for err == nil {
			_, _, err = socket.Read(t.Context())
		}
	}
	if status := websocket.CloseStatus(err); status == websocket.StatusNormalClosure {
		t.Errorf("1 MiB on a socket that only the server talks on: %v", err)
	}
	other := d.member("bob") // whose streams are all begun here
	theirs := d.workspace(other, "green")
	for range maxStreams {
		_, done, err := d.streams.begin(t.Context(), theirs.OwnerID)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
	}
	if a := d.call("GET", "/api/v2/workspaces/"+theirs.ID.String()+"/watch", other.Token, ""); a.StatusCode != http.StatusTooManyRequests {
		t.Errorf("stream number %d of a user = %d, want 429", maxStreams+1, a.StatusCode)
	}
	a := d.connect(d.agentToken(c, ws))
	_, err = a.BatchCreateLogs(t.Context(), &agentproto.BatchCreateLogsRequest{Logs: []*agentproto.Log{{Output: strings.Repeat("x", 5<<20)}}})
	if err == nil {
		t.Error("a call of 5 MiB was answered")
	}
}

// Pages of other sites can do nothing with the cookie of a browser.
func TestOtherSitesCannotUseTheCookie(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	cookie := []string{"Cookie", api.CookieToken + "=" + c.Token}
	path := "/api/v2/workspaces/" + ws.ID.String() + "/usage"
	for what, tc := range map[string]struct {
		headers []string
		status  int
	}{
		"cookie only":                {nil, 400},
		"cross-site":                 {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 400},
		"same-site is another host":  {[]string{"Sec-Fetch-Site", "same-site"}, 400},
		"old browser, other origin":  {[]string{"Origin", "https://evil.example"}, 400},
		"our own page":               {[]string{"Sec-Fetch-Site", "same-origin"}, 204},
		"old browser, own origin":    {[]string{"Origin", d.URL().String()}, 204},
		"the token in a header also": {[]string{api.HeaderToken, c.Token}, 204},
		"another token in a header":  {[]string{api.HeaderToken, "x"}, 400},
	} {
		if a := d.call("POST", path, "", "", append(cookie, tc.headers...)...); a.StatusCode != tc.status {
			t.Errorf("POST with %s = %d %s, want %d", what, a.StatusCode, a.body, tc.status)
		}
	}
	if a := d.call("GET", "/api/v2/users/me", "", "", cookie...); a.StatusCode != http.StatusOK {
		t.Errorf("GET with a cookie = %d, want 200", a.StatusCode)
	}
	watch := "/api/v2/workspaces/" + ws.ID.String() + "/watch-ws"
	none := *c
	none.Token = ""
	_, res, err := d.dial(&none, watch, append(cookie, "Origin", "https://evil.example")...)
	if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("WebSocket of another site = %v, want 403", err)
	}
	if _, _, err := d.dial(&none, watch, append(cookie, "Origin", d.URL().String())...); err != nil {
		t.Errorf("WebSocket of our own page = %v", err)
	}
}

// A browser signs in and gets a token to copy.
func TestCLIAuthPage(t *testing.T) {
	d := start(t, Config{})
	d.owner()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.http.Jar = jar
	a := d.call("GET", "/cli-auth", "", "")
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/login?redirect=%2Fcli-auth" {
		t.Fatalf("GET /cli-auth = %d %s, want the login page", a.StatusCode, a.Header.Get("Location"))
	}
	a = d.call("GET", a.Header.Get("Location"), "", "")
	if a.StatusCode != http.StatusOK || !bytes.Contains(a.body, []byte(`name="redirect" value="/cli-auth"`)) {
		t.Fatalf("login page = %d %s", a.StatusCode, a.body)
	}
	form := url.Values{"email": {email}, "password": {password}, "redirect": {"/cli-auth"}}.Encode()
	kind := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if a = d.call("POST", "/login", "", form, kind...); a.StatusCode != http.StatusForbidden {
		t.Errorf("POST /login of another site = %d, want 403", a.StatusCode)
	}
	a = d.call("POST", "/login", "", form, append(kind, "Origin", d.URL().String())...)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/cli-auth" {
		t.Fatalf("POST /login = %d %s", a.StatusCode, a.Header.Get("Location"))
	}
	if set := a.Header.Get("Set-Cookie"); !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") {
		t.Errorf("Set-Cookie = %s", set)
	}
	a = d.call("GET", "/cli-auth", "", "")
	_, rest, found := strings.Cut(string(a.body), `class="token" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	c := d.client()
	c.Token = token
	c.HTTP = nil
	if me, err := c.User(t.Context(), api.Me); !found || err != nil || me.Username != "ada" {
		t.Errorf("User(me) with the token of the page = %v, %v", me, err)
	}
	http.DefaultClient.CloseIdleConnections()
	if a := d.call("GET", "/login?redirect=https://evil.example", "", ""); a.Header.Get("Location") != "/" {
		t.Errorf("redirect to another site: %d %s, want /", a.StatusCode, a.Header.Get("Location"))
	}
	if a := d.call("GET", "/", "", ""); a.StatusCode != http.StatusOK || !bytes.Contains(a.body, []byte("coder login "+d.URL().String())) {
		t.Errorf("GET / = %d %s", a.StatusCode, a.body)
	}
}

// A key for apps opens apps and nothing else.
func TestScopedToken(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	key, err := c.CreateToken(t.Context(), api.Me, api.CreateTokenRequest{TokenName: "apps", Scope: "application_connect"})
	if err != nil {
		t.Fatal(err)
	}
	scoped := *c
	scoped.Token = key.Key
	if _, err := scoped.User(t.Context(), api.Me); api.StatusCode(err) != http.StatusNotFound {
		t.Errorf("User(me) with a key for apps = %v, want 404", err)
	}
	if list, err := scoped.Workspaces(t.Context(), "", 0); api.StatusCode(err) != http.StatusNotFound {
		t.Errorf("Workspaces with a key for apps = %v, %v, want 404", list, err)
	}
	tokens, err := c.Tokens(t.Context(), api.Me, false)
	if err != nil || len(tokens) != 1 || tokens[0].TokenName != "apps" || tokens[0].Scope != "application_connect" {
		t.Errorf("Tokens = %+v, %v", tokens, err)
	}
	if err := c.DeleteKey(t.Context(), api.Me, tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := scoped.User(t.Context(), api.Me); api.StatusCode(err) != http.StatusUnauthorized {
		t.Errorf("User(me) with a deleted key = %v, want 401", err)
	}
}

// An expired key is told that it has expired, for a week.
func TestExpiredKey(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		now := time.Now()
		d.removeExpired(t.Context(), now.Add(time.Hour+keepExpired-time.Minute))
		if _, err := c.User(t.Context(), api.Me); err != nil {
			t.Fatalf("User(me) before the key may be removed: %v", err)
		}
		_, _, err := d.auth.Authenticate(t.Context(), c.Token, "192.0.2.1", now.Add(2*time.Hour))
		var refused *auth.UnauthenticatedError
		if !errors.As(err, &refused) || !strings.Contains(refused.Detail, "API key expired at") {
			t.Errorf("Authenticate after the end of the key = %v", err)
		}
		d.removeExpired(t.Context(), now.Add(time.Hour+keepExpired+time.Minute))
		if _, err := c.User(t.Context(), api.Me); api.StatusCode(err) != http.StatusUnauthorized {
			t.Errorf("User(me) after the key was removed = %v, want 401", err)
		}
	})
}

// What has no kind is an internal error with an id that the log knows.
func TestInternalErrorsAreNotTold(t *testing.T) {
	d := start(t, Config{})
	for name, h := range map[string]handler{
		"error": func(http.ResponseWriter, *http.Request) error { return errors.New("disk of the database is full") },
		"panic": func(http.ResponseWriter, *http.Request) error { panic("disk of the database is full") },
	} {
		rec := newRecorder()
		d.everyRequest(d.h(h)).ServeHTTP(rec, newRequest(t, "GET", "/x"))
		var body api.Response
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		_, id, _ := strings.Cut(body.Detail, "under request ")
		id = strings.TrimSuffix(id, ".")
		if rec.Code != http.StatusInternalServerError || body.Message != "An internal server error occurred." || strings.Contains(rec.Body.String(), "disk") {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
		if id == "" || !strings.Contains(d.logs.String(), "request="+id) || !strings.Contains(d.logs.String(), "disk of the database is full") {
			t.Errorf("%s: the log does not have the cause under request %q", name, id)
		}
	}
}
