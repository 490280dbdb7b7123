package api

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestParseURL(t *testing.T) {
	for in, want := range map[string]string{
		"berth.example.com":          "https://berth.example.com",
		"https://berth.example.com/": "https://berth.example.com",
		" http://h:7080/sub/ ":       "http://h:7080/sub",
		"localhost:7080":             "http://localhost:7080",
		"127.0.0.1:7080":             "http://127.0.0.1:7080",
		"[::1]:7080":                 "http://[::1]:7080",
		"":                           "",
		"ftp://h":                    "",
		"https://":                   "",
		"https://user:pw@h":          "",
		"http://h:port":              "",
	} {
		u, err := ParseURL(in)
		got := ""
		if err == nil {
			got = u.String()
		}
		if got != want {
			t.Errorf("ParseURL(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func client(t *testing.T, h http.HandlerFunc) *Client {
	ts := httptest.NewServer(h)
	t.Cleanup(ts.Close)
	u, err := url.Parse(ts.URL + "/below")
	if err != nil {
		t.Fatal(err)
	}
	return &Client{URL: u, Token: "id-secret", Header: http.Header{"X-Extra": {"1"}}}
}

func TestRequestsCarryTokenHeadersAndBasePath(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.URL.EscapedPath(), "/below/api/v2/users/a%2Fb/workspace/x"; got != want {
			t.Errorf("path = %s, want %s", got, want)
		}
		if r.Header.Get(HeaderToken) != "id-secret" || r.Header.Get("X-Extra") != "1" {
			t.Errorf("headers = %v, want the token and the extra one", r.Header)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		json.NewEncoder(w).Encode(Workspace{Name: "x"})
	})
	ws, err := c.WorkspaceByName(t.Context(), "a/b", "x")
	if err != nil || ws.Name != "x" {
		t.Errorf("WorkspaceByName = %q, %v", ws.Name, err)
	}
}

func TestRefusalsAreErrors(t *testing.T) {
	answers := map[string]struct {
		kind, body string
		want       string
	}{
		"api":  {"application/json", `{"message":"Validation failed.","validations":[{"field":"name","detail":"taken"}]}`, "Validation failed (400)\n  name: taken"},
		"html": {"text/html", "<html>", "the URL may not be that of a Berth or Coder server"},
		"huge": {"application/json", `{"message":"` + strings.Repeat("x", 2*maxErrorBody) + `"}`, "unexpected answer"},
	}
	for name, a := range answers {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", a.kind)
			w.WriteHeader(http.StatusBadRequest)
			w.Write([]byte(a.body))
		})
		_, err := c.Workspace(t.Context(), uuid.New())
		if StatusCode(err) != http.StatusBadRequest || !strings.Contains(err.Error(), a.want) {
			t.Errorf("%s: error = %v, want status 400 and %q", name, err, a.want)
		}
		_, err = c.AgentRPC(t.Context())
		if StatusCode(err) != http.StatusBadRequest {
			t.Errorf("%s: handshake error = %v, want status 400", name, err)
		}
	}
}

func TestSuccessThatIsNotJSONIsAnError(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) })
	if _, err := c.User(t.Context(), Me); err == nil {
		t.Error("User of a page = nil error, want one")
	}
}

// TestRule3TokensStayWithTheServer: a redirect never carries the token to
// another host.
func TestRule3TokensStayWithTheServer(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked, with the token %q", r.Header.Get(HeaderToken))
	}))
	defer other.Close()
	_, port, _ := net.SplitHostPort(other.Listener.Addr().String())
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://localhost:"+port+"/", http.StatusTemporaryRedirect)
	})
	if _, err := c.User(t.Context(), Me); err == nil {
		t.Error("User behind a redirect to another host = nil error, want one")
	}
	if _, err := c.AgentRPC(t.Context()); err == nil {
		t.Error("AgentRPC behind a redirect to another host = nil error, want one")
	}
}

func TestRedirectsWithinTheServerAreFollowed(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/moved" {
			http.Redirect(w, r, "/moved", http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(User{Username: r.Header.Get(HeaderToken)})
	})
	if u, err := c.User(t.Context(), Me); err != nil || u.Username != "id-secret" {
		t.Errorf("User behind a redirect = %+v, %v, want it followed with the token", u, err)
	}
}

func TestRedirectsDoNotLeaveTLS(t *testing.T) {
	from, to := httptest.NewRequest("GET", "https://h/a", nil), httptest.NewRequest("GET", "http://h/a", nil)
	if err := sameServer(to, []*http.Request{from}); err == nil {
		t.Error("sameServer(https to http) = nil, want an error")
	}
	if err := sameServer(from, []*http.Request{to}); err != nil {
		t.Errorf("sameServer(http to https) = %v, want nil", err)
	}
}
