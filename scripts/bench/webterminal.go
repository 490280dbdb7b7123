//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
)

// webTerminals measures how long a browser waits for a terminal: the page, then
// the WebSocket until the shell's program has written. What the browser itself
// takes to draw is not in it.
func webTerminals(ctx context.Context, e *environment) ([]row, error) {
	d, err := e.deployHere(ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	b, err := d.browser(ctx)
	if err != nil {
		return nil, err
	}
	first, err := b.open(ctx, uuid.New())
	if err != nil {
		return nil, err
	}
	var opened, again []float64
	for range loopbackRuns {
		id := uuid.New()
		for _, took := range []*[]float64{&opened, &again} {
			t, err := b.open(ctx, id)
			if err != nil {
				return nil, err
			}
			*took = append(*took, t)
		}
		if err := b.kill(ctx, d, id); err != nil {
			return nil, err
		}
	}
	limits := []limit{atMost(150)}
	return []row{
		{"web terminal, open, the server's first", first, "ms", "", 0, limits, nil},
		{"web terminal, open, p50", median(opened), "ms", "", 0, limits, nil},
		{"web terminal, reattach, p50", median(again), "ms", "", 0, limits, nil},
	}, nil
}

// tab asks as a browser does.
type tab struct {
	url    string
	header http.Header
	agent  uuid.UUID
}

func (d *deployment) browser(ctx context.Context) (*tab, error) {
	token, err := os.ReadFile(filepath.Join(d.dir, "config", "session"))
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(d.url)
	if err != nil {
		return nil, err
	}
	c := &api.Client{URL: base, Token: strings.TrimSpace(string(token))}
	ws, err := c.WorkspaceByName(ctx, api.Me, "ws")
	if err != nil {
		return nil, err
	}
	return &tab{d.url, http.Header{"Cookie": {api.CookieToken + "=" + c.Token}, "Origin": {d.url}}, ws.LatestBuild.Resources[0].Agents[0].ID}, nil
}

// open loads the page, shows a terminal and leaves; it returns milliseconds
// until the program's first output.
func (b *tab) open(ctx context.Context, id uuid.UUID) (float64, error) {
	began := time.Now()
	if err := b.load(ctx); err != nil {
		return 0, err
	}
	query := url.Values{"reconnect": {id.String()}, "height": {"40"}, "width": {"120"}, "command": {"printf rea; printf dy; exec cat"}}
	address := fmt.Sprintf("%s/api/v2/workspaceagents/%s/pty?%s", strings.Replace(b.url, "http", "ws", 1), b.agent, query.Encode())
	ws, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPHeader: b.header})
	if err != nil {
		return 0, err
	}
	defer ws.CloseNow()
	for shown := []byte{}; !bytes.Contains(shown, []byte("ready")); {
		_, msg, err := ws.Read(ctx)
		if err != nil {
			return 0, fmt.Errorf("the terminal showed %q and then: %w", shown, err)
		}
		shown = append(shown, msg...)
	}
	took := time.Since(began)
	return milliseconds(took), ws.Close(websocket.StatusNormalClosure, "")
}

// load gets the page; what it refers to is in a browser's cache.
func (b *tab) load(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/@me/ws/terminal", nil)
	if err != nil {
		return err
	}
	req.Header = b.header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("terminal page: %s", res.Status)
	}
	return nil
}

// kill ends a terminal, so that they do not add up.
func (b *tab) kill(ctx context.Context, d *deployment, id uuid.UUID) error {
	_, err := output(d.user(ctx, d.on, d.coder, "terminal", "kill", "ws", id.String()))
	return err
}
