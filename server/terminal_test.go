package server

import (
	"context"
	wire "encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/pty"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/proto"
)

// onTailnet gives a connected agent a node.
func (a fakeAgent) onTailnet(d *deployment, id uuid.UUID) *tailnet.Node {
	d.t.Helper()
	maps, _ := d.maps.Watch()
	relays, err := maps.Via(d.URL())
	if err != nil {
		d.t.Fatal(err)
	}
	control := tailnet.NewControl(tailnet.ControlConfig{Access: d.URL(), Agent: true})
	node, err := tailnet.New(tailnet.Config{
		Addresses: tailnet.AddressesFor(id), ID: tailnet.NodeID(id), DERPMap: relays, Self: control.Self,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, leave := context.WithCancel(d.t.Context())
	var joined sync.WaitGroup
	joined.Go(func() { _ = control.Run(ctx, node, proto.NewDRPCTailnetClient(a.Conn)) })
	d.t.Cleanup(func() {
		leave()
		joined.Wait()
		if err := node.Close(); err != nil {
			d.t.Error(err)
		}
	})
	return node
}

// serve answers connections to a port of the node until the end of the test.
func serve(t testing.TB, node *tailnet.Node, port uint16, answer func(net.Conn)) {
	t.Helper()
	ln, err := node.ListenTCP(port)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				answer(conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
}

// firstMessage reads what a viewer asks for.
func firstMessage(t testing.TB, conn net.Conn) (init pty.Init) {
	t.Helper()
	var size uint16
	if err := wire.Read(conn, wire.LittleEndian, &size); err != nil {
		t.Errorf("read the first message: %v", err)
		return init
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Errorf("read the first message: %v", err)
	}
	if err := json.Unmarshal(body, &init); err != nil {
		t.Errorf("first message %q: %v", body, err)
	}
	return init
}

// inTerminal is a deployment with an agent on its tailnet.
type inTerminal struct {
	*deployment
	c    *api.Client
	ws   api.Workspace
	id   uuid.UUID // of the agent
	node *tailnet.Node
}

func startTerminal(t *testing.T) inTerminal {
	d := start(t, Config{})
	c := d.owner()
	ws := d.workspace(c, "blue")
	id := ws.LatestBuild.Resources[0].Agents[0].ID
	a := d.connect(d.agentToken(c, ws))
	d.waitConnected(c, ws, a)
	return inTerminal{d, c, ws, id, a.onTailnet(d, id)}
}

func (d inTerminal) path(query string) string {
	return "/api/v2/workspaceagents/" + d.id.String() + "/pty?" + query
}

func TestTerminalIsCarried(t *testing.T) {
	d := startTerminal(t)
	got := make(chan pty.Init, 1)
	serve(t, d.node, agentTerminals, func(conn net.Conn) {
		got <- firstMessage(t, conn)
		io.WriteString(conn, "\x1b[2Jhello \xf0\x9f")
		var typed struct{ Data string }
		if err := json.NewDecoder(conn).Decode(&typed); err != nil {
			t.Errorf("read what was typed: %v", err)
		}
		io.WriteString(conn, "\x98\x80"+typed.Data)
	})
	id := uuid.New()
	ws, _, err := d.dial(d.c, d.path("reconnect="+id.String()+"&height=33&width=99&command=top&existing=true"))
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if err := ws.Write(t.Context(), websocket.MessageBinary, []byte(`{"data":"typed"}`)); err != nil {
		t.Fatal(err)
	}
	shown, err := readAll(t, ws)
	if want := "\x1b[2Jhello 😀typed"; shown != want || websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the browser was shown %q and then %v, want %q and a normal end", shown, err, want)
	}
	if init, want := <-got, (pty.Init{ID: id, Height: 33, Width: 99, Command: "top", MustExist: true}); init != want {
		t.Errorf("the agent was asked for %+v, want %+v", init, want)
	}
}

// readAll reads binary messages until the socket closes.
func readAll(t testing.TB, ws *websocket.Conn) (all string, err error) {
	for {
		kind, msg, err := ws.Read(t.Context())
		if err != nil {
			return all, err
		}
		if kind != websocket.MessageBinary {
			t.Errorf("message of kind %v, want binary", kind)
		}
		all += string(msg)
	}
}

func TestTerminalRefusesNonsense(t *testing.T) {
	d := startTerminal(t)
	id := "reconnect=" + uuid.NewString()
	for query, field := range map[string]string{
		"":                               "reconnect",
		"reconnect=1":                    "reconnect",
		"reconnect=" + uuid.Nil.String(): "reconnect",
		id + "&height=0":                 "height",
		id + "&height=-1":                "height",
		id + "&width=65536":              "width",
		id + "&width=1001":               "width",
		id + "&width=x":                  "width",
		id + "&container=db":             "container",
		id + "&command=%ff":              "command",
		id + "&command=" + strings.Repeat("x", maxCommand+1): "command",
	} {
		a := d.call("GET", d.path(query), d.c.Token, "")
		problem := a.problem(t)
		if a.StatusCode != http.StatusBadRequest || len(problem.Validations) != 1 || problem.Validations[0].Field != field {
			t.Errorf("%.60q = %d %+v, want 400 about %s", query, a.StatusCode, problem, field)
		}
	}
	serve(t, d.node, agentTerminals, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	ws, _, err := d.dial(d.c, d.path(id))
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"data":`)); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(t, ws); websocket.CloseStatus(err) != websocket.StatusInternalError {
		t.Errorf("end after a message that is not JSON = %v, want an error", err)
	}
}

// A terminal is a shell: who may not have one does not learn that there is one.
func TestTerminalOfOthers(t *testing.T) {
	d := startTerminal(t)
	other := d.member("eve")
	for _, path := range []string{
		d.path("reconnect=" + uuid.NewString()), "/api/v2/workspaceagents/" + d.id.String() + "/terminals", "/@ada/blue/terminal",
	} {
		if a := d.call("GET", path, other.Token, ""); a.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s of somebody else = %d, want 404", path, a.StatusCode)
		}
		if a := d.call("GET", path, "", ""); a.StatusCode == http.StatusOK {
			t.Errorf("GET %s without a token = 200", path)
		}
	}
	a := d.call("GET", d.path("reconnect="+uuid.NewString()), "", "", "Cookie", api.CookieToken+"="+d.c.Token,
		"Origin", "https://evil.example", "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	if a.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another site opens a terminal with the cookie: %d, want 403", a.StatusCode)
	}
}

func TestTerminalOfNobody(t *testing.T) {
	d := start(t, Config{})
	c := d.owner()
	agent := d.workspace(c, "blue").LatestBuild.Resources[0].Agents[0].ID.String()
	ws, _, err := d.dial(c, "/api/v2/workspaceagents/"+agent+"/pty?reconnect="+uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if _, err := readAll(t, ws); websocket.CloseStatus(err) != websocket.StatusInternalError || !strings.Contains(err.Error(), errNotThere.Error()) {
		t.Errorf("terminal of an agent that never came = %v, want %q", err, errNotThere)
	}
	a := d.call("GET", "/api/v2/workspaceagents/"+agent+"/terminals", c.Token, "")
	if problem := a.problem(t); a.StatusCode != http.StatusBadGateway || !strings.Contains(problem.Detail, errNotThere.Error()) {
		t.Errorf("terminals of an agent that never came = %d %+v, want 502", a.StatusCode, problem)
	}
}

// Stopping the server ends terminals with "going away", so that pages come
// back to the next server.
func TestTerminalWhenTheServerStops(t *testing.T) {
	d := startTerminal(t)
	serve(t, d.node, agentTerminals, func(conn net.Conn) {
		io.WriteString(conn, "$ ")
		io.Copy(io.Discard, conn)
	})
	ws, _, err := d.dial(d.c, d.path("reconnect="+uuid.NewString()))
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if _, msg, err := ws.Read(t.Context()); err != nil || string(msg) != "$ " {
		t.Fatalf("first message = %q, %v", msg, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	if _, err := readAll(t, ws); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("end of the terminal when the server stops = %v, want going away", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// Rule 2: the server asks an agent and nobody else, whatever the agent says.
func TestRule2AgentsCannotSendTheServerElsewhere(t *testing.T) {
	d := startTerminal(t)
	elsewhere := make(chan struct{}, 1)
	serve(t, d.node, 80, func(net.Conn) { elsewhere <- struct{}{} })
	answers := make(chan string, 1)
	serve(t, d.node, agentAPI, func(conn net.Conn) {
		head := make([]byte, 4096)
		if _, err := conn.Read(head); err != nil {
			t.Error(err)
		}
		io.WriteString(conn, <-answers)
	})
	path := "/api/v2/workspaceagents/" + d.id.String() + "/terminals"
	for answer, want := range map[string]string{
		"HTTP/1.1 302 Found\r\nLocation: http://agent:80/\r\nContent-Length: 0\r\n\r\n":                                 "it answers 302",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<script>":                                                          "its answer is not as expected",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"terminals\":[\"" + strings.Repeat("x", maxAgentAnswer) + "\"]}": "its answer is not as expected",
		"SSH-2.0-x\r\n": "the connection broke",
	} {
		answers <- answer
		a := d.call("GET", path, d.c.Token, "")
		if problem := a.problem(t); a.StatusCode != http.StatusBadGateway || problem.Detail != want {
			t.Errorf("agent that says %.40q = %d %+v, want 502 and %q", answer, a.StatusCode, problem, want)
		}
	}
	select {
	case <-elsewhere:
		t.Error("the server followed a redirect")
	default:
	}
	answers <- "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + `{"terminals":[{"id":"` + uuid.NewString() + `","title":"<b>","more":1}],"more":1}`
	a := d.call("GET", path, d.c.Token, "")
	if a.StatusCode != http.StatusOK || strings.Contains(string(a.body), "more") {
		t.Errorf("list of terminals = %d %s, want what is known of them only", a.StatusCode, a.body)
	}
}
