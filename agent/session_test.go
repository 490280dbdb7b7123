//go:build linux

package agent

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berthdev/berth/server/api"
)

func TestRefusalsThatAreFinal(t *testing.T) {
	dead := &api.Error{StatusCode: http.StatusUnauthorized, Response: api.Response{Message: "no", Detail: api.DetailAgentTokenDead}}
	if err := refusal(dead); !errors.Is(err, ErrTokenDead) {
		t.Errorf("refusal(dead token) = %v, want ErrTokenDead", err)
	}
	unknown := &api.Error{StatusCode: http.StatusUnauthorized, Response: api.Response{Message: "no", Detail: "unknown"}}
	if err := refusal(unknown); errors.Is(err, ErrTokenDead) {
		t.Errorf("refusal(unknown token) = %v: its build may not have ended, it must be tried again", err)
	}
}

func TestJitterStaysWithinTheBudgetOfAReconnect(t *testing.T) {
	for range 1000 {
		if d := jitter(lastRetry); d < lastRetry/2 || d > 2250*time.Millisecond {
			t.Fatalf("jitter(%v) = %v, want between half of it and 2.25s", lastRetry, d)
		}
	}
}

// TestAgentRunEndsWhenReplaced closes the agent's connection as a server does
// that another agent connected to with the same token.
func TestAgentRunEndsWhenReplaced(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		ws.Close(websocket.StatusPolicyViolation, api.ReasonAgentReplaced+" from 192.0.2.1")
	}))
	defer ts.Close()
	u, err := url.Parse(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	err = New(Config{Client: &api.Client{URL: u, Token: "t"}}).Run(t.Context())
	if !errors.Is(err, ErrReplaced) {
		t.Errorf("Run = %v, want ErrReplaced", err)
	}
}

func TestAgentStopsWhileTheServerIsAway(t *testing.T) {
	u, _ := url.Parse("http://127.0.0.1:1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if err := New(Config{Client: &api.Client{URL: u, Token: "t"}}).Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil when it is stopped", err)
	}
	if took := time.Since(began); took > reportGrace {
		t.Errorf("Run took %v to stop: it waited for a server that is away", took)
	}
}
