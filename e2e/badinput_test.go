//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"tailscale.com/net/stun"

	"github.com/berthdev/berth/tailnet/netlab"
)

// machine is a deployment on one host, beside others.
type machine struct {
	*World
	host   *netlab.Host
	server *Server
	user   *User
}

func newQuietMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{World: newWorld(t)}
	m.host = m.Host("machine")
	m.server = m.Serve(m.host)
	m.user = m.server.User(m.host)
	return m
}

func TestUnknownWorkspace(t *testing.T) {
	m := newQuietMachine(t)
	want := Result{Stderr: "error: workspace \"x\" not found\nhint: coder list\n", Code: 1}
	for _, command := range []string{"ssh", "ping", "show"} {
		if got := m.user.Run(within(t, time.Minute), command, "x"); got != want {
			t.Errorf("coder %s x = %+v, want %+v", command, got, want)
		}
	}
	const name = `bad;name`
	if got := m.user.Run(within(t, time.Minute), "ssh", name); got.Code != 1 || !strings.Contains(got.Stderr, `"bad;name" is not the name of a workspace`) {
		t.Errorf("coder ssh %q = %+v, want exit status 1 and the name", name, got)
	}
}

func TestWrongServer(t *testing.T) {
	m := newQuietMachine(t)
	for _, test := range []struct{ url, want string }{
		{"ftp://example.com", "ftp"},
		{"http://127.0.0.1:1", "connection refused"},
		{"http://[::", "missing ']' in host"},
	} {
		got := m.Run(m.Coder(within(t, time.Minute), m.host, []string{"CODER_URL=" + test.url, "CODER_SESSION_TOKEN=" + fakeToken}, "list"))
		if got.Code != 1 || !strings.Contains(got.Stderr, test.want) {
			t.Errorf("coder list from %s = %+v, want exit status 1 and %q", test.url, got, test.want)
		}
		if strings.Contains(got.Stderr, "goroutine") {
			t.Errorf("coder list from %s prints a stack trace:\n%s", test.url, got.Stderr)
		}
	}
}

// fakeToken has the form of a session token.
const fakeToken = "0123456789-0123456789012345678901"

func TestAgentWithBadSettings(t *testing.T) {
	m := newQuietMachine(t)
	const unknown = "6b1f0a0c-4d35-4dd4-9e0f-7c2c3f9d1d11"
	for _, test := range []struct {
		name string
		env  []string
		want string
	}{
		{"no URL", []string{"CODER_AGENT_TOKEN=" + unknown}, "CODER_AGENT_URL"},
		{"bad URL", []string{"CODER_AGENT_URL=ftp://x", "CODER_AGENT_TOKEN=" + unknown}, "CODER_AGENT_URL"},
		{"no token", []string{"CODER_AGENT_URL=" + m.server.URL}, "CODER_AGENT_TOKEN"},
		{"token with blanks", []string{"CODER_AGENT_URL=" + m.server.URL, "CODER_AGENT_TOKEN=a b"}, "CODER_AGENT_TOKEN"},
	} {
		got := m.Run(m.Coder(within(t, 20*time.Second), m.host, test.env, "agent"))
		if got.Code != 78 || !strings.Contains(got.Stderr, test.want) {
			t.Errorf("coder agent, %s = %+v, want exit status 78 and %s named", test.name, got, test.want)
		}
	}
}

// TestAgentWithUnknownToken goes on: a workspace can start before its build
// has ended. It says what is wrong, without the token.
func TestAgentWithUnknownToken(t *testing.T) {
	m := newQuietMachine(t)
	const unknown = "6b1f0a0c-4d35-4dd4-9e0f-7c2c3f9d1d11"
	agent := m.server.StartAgent(m.host, m.server.URL, unknown)
	line, err := agent.WaitLine(within(t, 20*time.Second), "trying again")
	if err != nil || !strings.Contains(line, "401") && !strings.Contains(strings.ToLower(line), "token") {
		t.Errorf("agent with an unknown token says %q, %v; want that its token is not known", line, err)
	}
	if strings.Contains(agent.Output(), unknown) || strings.Contains(m.server.Output(), unknown) {
		t.Error("the token is in a log")
	}
}

func TestAgentOfDeletedWorkspaceEnds(t *testing.T) {
	m := newQuietMachine(t)
	token := m.server.Create("ws")
	agent := m.server.StartAgent(m.host, m.server.URL, token)
	if _, err := agent.WaitLine(within(t, 20*time.Second), "connected to the server"); err != nil {
		t.Fatal(err)
	}
	m.user.MustRun("delete", "ws", "--yes")
	again := m.server.StartAgent(m.host, m.server.URL, token)
	for name, p := range map[string]*netlab.Proc{"the agent that ran": agent, "an agent started later": again} {
		endsSaying(t, name, p, "the agent token is no longer valid")
	}
}

// endsSaying expects the exit status of an agent that need not be started again,
// and its reason.
func endsSaying(t *testing.T, name string, p *netlab.Proc, why string) {
	t.Helper()
	if _, err := p.WaitLine(within(t, 20*time.Second), "error: "+why); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if err := p.Wait(within(t, 20*time.Second)); err == nil || err.Error() != "exit status 78" {
		t.Errorf("end of %s: %v, want exit status 78", name, err)
	}
}

func TestNewestOfTwoAgentsWins(t *testing.T) {
	m := newQuietMachine(t)
	token := m.server.Create("ws")
	start := func() *netlab.Proc {
		agent := m.server.StartAgent(m.host, m.server.URL, token)
		if _, err := agent.WaitLine(within(t, 20*time.Second), "connected to the server"); err != nil {
			t.Fatal(err)
		}
		return agent
	}
	old := start()
	shell := m.user.Shell("ws")
	start()
	endsSaying(t, "the old agent", old, "another agent has connected with the same token")
	shell.MustAwait(afterCrash) // the sessions of one machine belong to both
	if got := m.user.Run(within(t, 20*time.Second), "ssh", "ws", "--", "echo works"); got.Code != 0 || got.Stdout != "works\n" {
		t.Errorf("a session at the young agent = %+v, want it to work", got)
	}
}

func TestServersInTheWay(t *testing.T) {
	m := newQuietMachine(t)
	data := m.dir + "/data"
	second := func(args ...string) Result {
		return m.Run(m.Coder(within(t, 20*time.Second), m.host, nil, append([]string{"server"}, args...)...))
	}
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"same data directory", []string{"--http-address", "127.0.0.1:0", "--relay-address", "127.0.0.1:0", "--data-dir", data}, []string{data, "hint: "}},
		{"taken port", []string{"--http-address", "127.0.0.1:7080", "--relay-address", "127.0.0.1:0", "--data-dir", m.Dir("other")}, []string{"127.0.0.1:7080", "in use"}},
		{"taken relay port", []string{"--http-address", "127.0.0.1:0", "--relay-address", "127.0.0.1:3478", "--data-dir", m.Dir("other")}, []string{"127.0.0.1:3478", "in use"}},
	} {
		got := second(test.args...)
		if got.Code != 1 || got.Stdout != "" {
			t.Errorf("second server, %s = %+v, want exit status 1 and nothing on stdout", test.name, got)
		}
		for _, want := range test.want {
			if !strings.Contains(got.Stderr, want) {
				t.Errorf("second server, %s: stderr = %q, want %q in it", test.name, got.Stderr, want)
			}
		}
	}
	m.user.MustRun("list")
}

// TestGarbageOnEverySocket sends what no protocol begins with, and what
// protocols of ours begin with, to every socket of the server.
func TestGarbageOnEverySocket(t *testing.T) {
	m := newQuietMachine(t)
	m.server.Agent(m.host, "ws")
	shell := m.user.Shell("ws")
	mark := "do-not-log-" + rand.Text()
	for _, begin := range garbage(t) {
		begin = append(begin, mark...)
		for _, port := range []int{HTTPPort, RelayPort} {
			address := fmt.Sprintf("%v:%d", m.host.Addr(), port)
			if err := closes(t, m.host, address, begin); err != nil {
				t.Errorf("TCP %s, sent %.20q: %v; want it closed", address, begin, err)
			}
		}
		mute(t, m.host, fmt.Sprintf("%v:%d", m.host.Addr(), RelayPort), begin)
	}
	if strings.Contains(m.server.Output(), mark) || strings.Contains(m.server.Output(), hex.EncodeToString([]byte(mark))) {
		t.Error("what came is in the server's log whole")
	}
	m.user.MustRun("ssh", "ws", "--", "true")
	shell.MustAwait(time.Second)
}

func garbage(t *testing.T) [][]byte {
	t.Helper()
	noise := make([]byte, 64<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	return [][]byte{
		bytes.Repeat([]byte{0}, 4096),
		bytes.Repeat([]byte{0xff}, 4096),
		noise,
		[]byte("SSH-2.0-scanner\r\n"),
		[]byte("GET / HTTP/9.9\r\n\r\n"),
		[]byte("GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n\xff\xff\xff\xff\xff\xff"),
		append([]byte{0x16, 3, 1, 0xff, 0xff}, noise[:70]...),                   // TLS record, too long
		append([]byte{0, 1, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42}, noise[:70]...), // STUN, wrong length
	}
}

// closes sends what, says that no more comes, and waits until the server
// closes.
func closes(t *testing.T, h *netlab.Host, address string, what []byte) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	conn, err := h.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	_, _ = conn.Write(what) // the server may have closed by now
	_ = conn.(*net.TCPConn).CloseWrite()
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// mute sends a datagram and expects no answer to it: one to a request that
// follows is the first that comes.
func mute(t *testing.T, h *netlab.Host, address string, what []byte) {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := h.ListenPacket("udp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	id := stun.NewTxID()
	for _, packet := range [][]byte{what[:min(len(what), 60000)], stun.Request(id)} {
		if _, err := conn.WriteTo(packet, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1500)
	n, _, err := conn.ReadFrom(answer)
	if got, _, parse := stun.ParseResponse(answer[:n]); err != nil || parse != nil || got != id {
		t.Errorf("STUN after %.20q: answer %x, %v; want one to the request that followed", what, answer[:n], err)
	}
}
