package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet/derpmap"
)

// eventStream reads server-sent events with workspaces.
type eventStream struct {
	t   testing.TB
	res *http.Response
	in  *bufio.Reader
}

func (d *deployment) watch(c *api.Client, ws uuid.UUID) eventStream {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), "GET", d.URL().String()+"/api/v2/workspaces/"+ws.String()+"/watch", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set(api.HeaderToken, c.Token)
	res, err := d.http.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { res.Body.Close() })
	return eventStream{d.t, res, bufio.NewReader(res.Body)}
}

// next returns the next event's workspace.
func (e eventStream) next() (ws api.Workspace) {
	e.t.Helper()
	name := ""
	for {
		line, err := e.in.ReadString('\n')
		if err != nil {
			e.t.Fatalf("read event: %v", err)
		}
		if after, found := strings.CutPrefix(line, "event: "); found {
			name = strings.TrimSpace(after)
		}
		data, found := strings.CutPrefix(line, "data: ")
		if !found || name != "data" {
			continue
		}
		if err := json.Unmarshal([]byte(data), &ws); err != nil {
			e.t.Fatalf("decode event %q: %v", data, err)
		}
		return ws
	}
}

func readJSON[T any](t testing.TB, ws *websocket.Conn) (v T) {
	t.Helper()
	_, raw, err := ws.Read(t.Context())
	if err != nil {
		t.Fatalf("read message: %v", err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("decode message %q: %v", raw, err)
	}
	return v
}

func (d *deployment) dial(c *api.Client, path string, header ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{api.HeaderToken: {c.Token}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	ws, res, err := websocket.Dial(d.t.Context(), d.URL().String()+path, &websocket.DialOptions{HTTPClient: d.http, HTTPHeader: h})
	if err == nil {
		d.t.Cleanup(func() { ws.CloseNow() })
	}
	return ws, res, err
}

func TestWatchWorkspace(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.workspace(c, "blue")
		events := d.watch(c, ws.ID)
		if got := events.res.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("Content-Type = %q", got)
		}
		socket, _, err := d.dial(c, "/api/v2/workspaces/"+ws.ID.String()+"/watch-ws")
		if err != nil {
			t.Fatal(err)
		}
		type frame struct {
			Type string
			Data api.Workspace
		}
		if got := events.next(); got.ID != ws.ID || got.LatestBuild.Status != api.BuildRunning {
			t.Errorf("first event: %s %s, want the workspace as it is", got.Name, got.LatestBuild.Status)
		}
		if got := readJSON[frame](t, socket); got.Type != "data" || got.Data.ID != ws.ID {
			t.Errorf("first frame: %+v", got)
		}
		if _, err := c.CreateBuild(t.Context(), ws.ID, api.CreateBuildRequest{Transition: api.TransitionDelete}); err != nil {
			t.Fatal(err)
		}
		if got := events.next(); got.LatestBuild.Status != api.BuildDeleted {
			t.Errorf("event after the delete: %s", got.LatestBuild.Status)
		}
		if got := readJSON[frame](t, socket); got.Data.LatestBuild.Status != api.BuildDeleted {
			t.Errorf("frame after the delete: %s", got.Data.LatestBuild.Status)
		}
		if _, err := io.ReadAll(events.in); err != nil {
			t.Errorf("end of the events: %v", err)
		}
		if _, _, err := socket.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Errorf("end of the socket: %v, want 1000", err)
		}
	})
}

func TestSocketOnWhichOnlyTheServerTalks(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	socket, _, err := d.dial(c, "/api/v2/workspaces/"+ws.ID.String()+"/watch-ws")
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = socket.Read(t.Context())
	}
	if websocket.CloseStatus(err) != websocket.StatusProtocolError {
		t.Errorf("the socket ended with %v, want 1002", err)
	}
}

func TestBuildLogs(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	path := "/api/v2/workspacebuilds/" + d.workspace(c, "blue").LatestBuild.ID.String() + "/logs"
	if a := d.call("GET", path, c.Token, ""); strings.TrimSpace(string(a.body)) != "[]" {
		t.Errorf("GET %s = %d %q, want an empty list", path, a.StatusCode, a.body)
	}
	socket, _, err := d.dial(c, path+"?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := socket.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("follow of a job that has ended: %v, want 1000 at once", err)
	}
}

func TestDERPMap(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	socket, _, err := d.dial(c, "/api/v2/derp-map")
	if err != nil {
		t.Fatal(err)
	}
	if m := readJSON[derpmap.Map](t, socket); m.Check() != nil || len(m.Regions) != 1 {
		t.Errorf("first map = %+v", m)
	}
	m, _ := d.maps.Watch()
	next := m.Clone()
	for _, r := range next.Regions {
		r.RegionName = "moved"
	}
	d.maps.Set(next)
	for _, r := range readJSON[derpmap.Map](t, socket).Regions {
		if r.RegionName != "moved" {
			t.Errorf("second map: region %q, want moved", r.RegionName)
		}
	}
}

// Everything ends when the server stops, and is told so.
func TestGracefulStop(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.workspace(c, "blue")
		agent := d.connect(d.agentToken(c, ws))
		events := d.watch(c, ws.ID)
		events.next()
		socket, _, err := d.dial(c, "/api/v2/workspaces/"+ws.ID.String()+"/watch-ws")
		if err != nil {
			t.Fatal(err)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- d.stop() }()
		for err == nil {
			_, _, err = socket.Read(t.Context())
		}
		if websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("socket ended with %v, want 1001", err)
		}
		// 1001 is an end like any other to the stream that carries calls.
		<-agent.Closed()
		if cause := agent.Cause(); !errors.Is(cause, io.EOF) && websocket.CloseStatus(cause) != websocket.StatusGoingAway {
			t.Errorf("agent's session ended with %v, want 1001", cause)
		}
		if _, err := io.Copy(io.Discard, events.in); err != nil {
			t.Errorf("events ended with %v", err)
		}
		if err := <-stopped; err != nil {
			t.Errorf("Run = %v", err)
		}
		if n := d.streams.count(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

func TestAgentsOfAStoppedServerAreDisconnected(t *testing.T) {
	each(t, func(t *testing.T, d *deployment) {
		c := d.owner()
		ws := d.workspace(c, "blue")
		d.waitConnected(c, ws, d.connect(d.agentToken(c, ws)))
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		again := start(t, Config{DataDir: d.cfg.DataDir, PostgresURL: d.cfg.PostgresURL})
		c.URL, c.HTTP = again.URL(), again.http
		got, err := c.Agent(t.Context(), ws.LatestBuild.Resources[0].Agents[0].ID)
		if err != nil || got.Status != api.AgentDisconnected || got.DisconnectedAt == nil {
			t.Errorf("agent after a restart = %s, disconnected at %v, %v", got.Status, got.DisconnectedAt, err)
		}
		if info, err := c.BuildInfo(context.Background()); err != nil || info.DeploymentID != d.deploymentID.String() {
			t.Errorf("deployment id after a restart = %s, %v, want %s", info.DeploymentID, err, d.deploymentID)
		}
		before, _ := d.maps.Watch()
		after, _ := again.maps.Watch()
		if before.Regions[999].Nodes[0].CertName != after.Regions[999].Nodes[0].CertName {
			t.Error("the relay has another certificate after a restart: clients pin it")
		}
	})
}

func (d *deployment) waitConnected(c *api.Client, ws api.Workspace, _ fakeAgent) {
	d.t.Helper()
	d.waitAgent(c, ws.ID, func(a api.Agent) bool {
		return a.Status == api.AgentConnected && a.FirstConnectedAt != nil // and that is written down
	})
}
