package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"golang.org/x/mod/semver"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/term"

	"github.com/berthdev/berth/server/api"
)

// client returns a client of the server that the user is signed in to.
func (g *globals) client(ctx context.Context) (*api.Client, error) {
	c, err := g.anonymous(ctx, "")
	if err != nil {
		return nil, err
	}
	if c.Token, err = g.sessionToken(c.URL); err != nil {
		return nil, err
	}
	if c.Token == "" && g.clientTLS.cert == "" { // a proxy may know whose the certificate is
		return nil, g.notSignedIn(c.URL)
	}
	return c, nil
}

// notSignedIn is the error of who has no session at a server.
func (g *globals) notSignedIn(server *url.URL) error {
	err := errors.New("you are not signed in")
	if kept, broken := g.credentials(); broken == nil {
		if stored, _ := kept.server(); stored != "" && !isServer(stored, server) {
			err = fmt.Errorf("you are not signed in to %s, but to %s", server, printable(stored))
		}
	}
	return withHint(err, "coder login "+server.String())
}

// anonymous returns a client without a token: of the server at address, or,
// when that is empty, of the one from flag, environment or last login.
func (g *globals) anonymous(ctx context.Context, address string) (*api.Client, error) {
	if address == "" {
		stored, err := g.serverURL()
		if err != nil {
			return nil, err
		}
		if address = stored; address == "" {
			return nil, withHint(errors.New("you are not signed in"), "coder login <url>")
		}
	}
	u, err := api.ParseURL(address)
	if err != nil {
		return nil, err
	}
	header, err := g.headers(ctx, u)
	if err != nil {
		return nil, err
	}
	secure, err := g.clientTLS.config()
	if err != nil {
		return nil, err
	}
	transport := api.Transport()
	transport.TLSClientConfig = secure.Clone()
	var rt http.RoundTripper = transport
	if !g.noVersionWarning && term.IsTerminal(int(os.Stderr.Fd())) {
		rt = &versionWatch{RoundTripper: rt}
	}
	return &api.Client{URL: u, Header: header, TLS: secure, HTTP: &http.Client{Transport: rt}}, nil
}

// versionWatch warns, once, of a server of another version. It asks nothing of
// its own: every answer of the server names the version.
type versionWatch struct {
	http.RoundTripper
	once sync.Once
}

func (v *versionWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := v.RoundTripper.RoundTrip(req)
	if err == nil {
		if theirs := res.Header.Get(api.HeaderBuildVersion); differ(api.Version, theirs) {
			v.once.Do(func() {
				fmt.Fprintf(os.Stderr, "warning: this is %s, the server is %s\n", api.Version, printable(theirs))
			})
		}
	}
	return res, err
}

// differ reports whether two versions differ in major or minor. One that is
// missing or no version does not.
func differ(ours, theirs string) bool {
	return semver.IsValid(theirs) && semver.MajorMinor(ours) != semver.MajorMinor(theirs)
}

func (g *globals) serverURL() (string, error) {
	if g.url != "" {
		return g.url, nil
	}
	kept, err := g.credentials()
	if err != nil {
		return "", err
	}
	return kept.server()
}

// sessionToken is the one from flag or environment, or that of the last login at
// the server.
func (g *globals) sessionToken(server *url.URL) (string, error) {
	if g.token != "" {
		return checkToken(g.token)
	}
	kept, err := g.credentials()
	if err != nil {
		return "", err
	}
	token, err := kept.token(server)
	if err != nil {
		return "", err
	}
	return checkToken(token)
}

// checkToken returns a token without blanks around it, unless no request can carry
// it: a file with something else in it, say.
func checkToken(token string) (string, error) {
	token = strings.TrimSpace(token)
	if !httpguts.ValidHeaderFieldValue(token) {
		return "", withHint(errors.New("the session token has characters that no token has"), "coder login makes a new session; --token and CODER_SESSION_TOKEN count for more than it")
	}
	return token, nil
}

// headers are what --header and --header-command add to every request.
func (g *globals) headers(ctx context.Context, server *url.URL) (http.Header, error) {
	h := http.Header{}
	for _, pair := range g.header {
		if err := addHeader(h, pair); err != nil {
			return nil, fmt.Errorf("--header: %w", err)
		}
	}
	if g.headerCommand == "" {
		return h, nil
	}
	out, err := runHeaderCommand(ctx, g.headerCommand, server)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := addHeader(h, line); err != nil {
			return nil, fmt.Errorf("output of the header command: %w", err)
		}
	}
	return h, nil
}

func addHeader(h http.Header, pair string) error {
	key, value, ok := strings.Cut(pair, "=")
	if !ok || !httpguts.ValidHeaderFieldName(key) || !httpguts.ValidHeaderFieldValue(value) {
		return errors.New("want key=value as HTTP allows it") // the text may hold a secret
	}
	h.Add(key, value)
	return nil
}

func runHeaderCommand(ctx context.Context, command string, server *url.URL) (string, error) {
	cmd := shellCommand(ctx, command)
	cmd.Env = append(os.Environ(), "CODER_URL="+server.String())
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("run the header command: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out.String(), nil
}

// logger writes to stderr with --verbose, and nowhere without.
func (g *globals) logger() *slog.Logger {
	if !g.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
