package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/server/api"
)

// TestInboxIsEmpty asks as editors do when they connect: the answer is empty, and
// the stream stays open until the server stops.
func TestInboxIsEmpty(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	if got := d.call("GET", "/api/v2/notifications/inbox?format=plaintext", c.Token, ""); got.StatusCode != http.StatusOK || strings.TrimSpace(string(got.body)) != `{"notifications":[],"unread_count":0}` {
		t.Errorf("inbox = %d %s, want an empty one", got.StatusCode, got.body)
	}
	ws, _, err := websocket.Dial(t.Context(), d.URL().String()+"/api/v2/notifications/inbox/watch?format=plaintext", &websocket.DialOptions{
		HTTPClient: d.http, HTTPHeader: http.Header{api.HeaderToken: {c.Token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, _, err := ws.Read(context.Background())
		read <- err
	}()
	if err := ws.Ping(t.Context()); err != nil {
		t.Errorf("ping of the stream = %v", err)
	}
	select {
	case err := <-read:
		t.Errorf("the stream ended or said something: %v", err)
	default:
	}
	ws.CloseNow()
	<-read
}
