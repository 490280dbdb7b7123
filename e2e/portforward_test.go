//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/netlab"
)

// forward runs coder port-forward until the test ends, and returns when it is
// ready.
func (p *place) forward(t *testing.T, args ...string) *netlab.Proc {
	t.Helper()
	proc := p.client.Start(p.user.Coder(context.Background(), append([]string{"port-forward", "ws"}, args...)...))
	if _, err := proc.WaitLine(within(t, patience), "Ready."); err != nil {
		t.Fatal(err)
	}
	return proc
}

// serve answers each connection that ln accepts until the test ends.
func serve(t *testing.T, ln net.Listener, err error, answer func(net.Conn)) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(t.Context(), func() { conn.Close() })()
				answer(conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
}

// afterTheEnd reads until the client has said all, and only then answers.
func afterTheEnd(name string) func(net.Conn) {
	return func(conn net.Conn) {
		said, _ := io.ReadAll(conn)
		fmt.Fprintf(conn, "%s got %s", name, said)
	}
}

// ask says something, ends its side, and returns the answer.
func ask(ctx context.Context, from *netlab.Host, network, address, what string) (string, error) {
	conn, err := from.Dial(ctx, network, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, what); err != nil {
		return "", err
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func TestPortForward(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	db := p.office.Host("db")
	dir := p.Dir("sockets")
	here, there := filepath.Join(dir, "here.sock"), filepath.Join(dir, "there.sock")
	for _, s := range []struct {
		host          *netlab.Host
		network, at   string
		name          string
		rule, through string // what is forwarded, and where the client dials
	}{
		{p.box, "tcp", "127.0.0.1:9000", "same", "9000", "127.0.0.1:9000"},
		{p.box, "tcp", "[::1]:9001", "v6", "19001:9001", "[::1]:19001"},
		{db, "tcp", "0.0.0.0:5432", "db", "15432:" + db.Addr().String() + ":5432", "127.0.0.1:15432"},
		{p.box, "unix", there, "socket", "12375:" + there, "127.0.0.1:12375"},
		{p.box, "tcp", "127.0.0.1:9002", "from socket", here + ":9002", here},
	} {
		t.Run(s.name, func(t *testing.T) {
			ln, err := s.host.Listen(s.network, s.at)
			serve(t, ln, err, afterTheEnd(s.name))
			proc := p.forward(t, "--tcp", s.rule)
			defer proc.Kill9()
			network := "tcp"
			if strings.HasPrefix(s.through, "/") {
				network = "unix"
			}
			got, err := ask(within(t, patience), p.client, network, s.through, "hello")
			if want := s.name + " got hello"; got != want || err != nil {
				t.Errorf("through %s = %q, %v; want %q", s.rule, got, err, want)
			}
		})
	}
}

// TestPortForwardRefused dials what nobody listens on: the client is reset, as
// it would be in the workspace, and the listener stays.
func TestPortForwardRefused(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	p.forward(t, "--tcp", "9000")
	if got, err := ask(within(t, patience), p.client, "tcp", "127.0.0.1:9000", "x"); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("a port on which nobody listens: %q, %v; want a reset", got, err)
	}
	ln, err := p.box.Listen("tcp", "127.0.0.1:9000")
	serve(t, ln, err, afterTheEnd("late"))
	if got, err := ask(within(t, patience), p.client, "tcp", "127.0.0.1:9000", "x"); got != "late got x" || err != nil {
		t.Errorf("once somebody listens: %q, %v", got, err)
	}
}

// TestPortForwardToAHostThatIsSilent dials one that does not answer, until that is
// given up: other connections of the same login go on.
func TestPortForwardToAHostThatIsSilent(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	db, silent := p.office.Host("db"), p.office.Host("silent")
	silent.Block(netlab.Filter{})
	ln, err := db.Listen("tcp", "0.0.0.0:5432")
	serve(t, ln, err, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	p.forward(t, "--tcp", fmt.Sprintf("5432:%v:5432,5433:%v:5432", db.Addr(), silent.Addr()))
	open, err := p.client.Dial(within(t, patience), "tcp", "127.0.0.1:5432")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if got, err := echoed(open, []byte("before")); err != nil || string(got) != "before" {
		t.Fatalf("before: %q, %v", got, err)
	}
	if got, err := ask(within(t, patience), p.client, "tcp", "127.0.0.1:5433", "x"); err == nil {
		t.Errorf("a host that is silent says %q", got)
	}
	if got, err := echoed(open, []byte("after")); err != nil || string(got) != "after" {
		t.Errorf("after another host did not answer: %q, %v", got, err)
	}
}

// TestPortForwardUDP has two clients of one port: each gets its own answers,
// whole, also large ones.
func TestPortForwardUDP(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	echo, err := p.box.ListenPacket("udp", "127.0.0.1:5353")
	if err != nil {
		t.Fatal(err)
	}
	var echoing sync.WaitGroup
	echoing.Go(func() {
		buf := make([]byte, 65535)
		for {
			n, from, err := echo.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(buf[:n], from)
		}
	})
	t.Cleanup(func() { echo.Close(); echoing.Wait() })
	p.forward(t, "--udp", "15353:5353")
	var clients []net.Conn
	for range 2 {
		conn, err := p.client.Dial(within(t, patience), "udp", "127.0.0.1:15353")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		clients = append(clients, conn)
	}
	for _, size := range []int{1, 1200, 9000, 40000} {
		for i, conn := range clients {
			sent := make([]byte, size)
			rand.Read(sent)
			if got, err := echoed(conn, sent); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("client %d: a datagram of %d bytes came back as %d others, %v", i, size, len(got), err)
			}
		}
	}
}

// echoed sends a datagram and returns the answer. UDP may lose one, so it is
// sent again.
func echoed(conn net.Conn, sent []byte) ([]byte, error) {
	buf := make([]byte, 65535)
	var err error
	for range 10 {
		if _, err = conn.Write(sent); err != nil {
			return nil, err
		}
		if err = conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return nil, err
		}
		var n int
		if n, err = conn.Read(buf); err == nil {
			return buf[:n], nil
		}
	}
	return nil, err
}

func TestPortForward500(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	const first, count = 20000, 500
	for i := range count {
		port := first + i
		ln, err := p.box.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		serve(t, ln, err, afterTheEnd(fmt.Sprint(port)))
	}
	p.forward(t, "--tcp", fmt.Sprintf("%d-%d", first, first+count-1))
	ctx := within(t, patience)
	wrong := make(chan string, count)
	var asking sync.WaitGroup
	for i := range count {
		asking.Go(func() {
			port := first + i
			got, err := ask(ctx, p.client, "tcp", fmt.Sprintf("127.0.0.1:%d", port), "x")
			if want := fmt.Sprintf("%d got x", port); got != want || err != nil {
				wrong <- fmt.Sprintf("port %d: %q, %v", port, got, err)
			}
		})
	}
	asking.Wait()
	close(wrong)
	for text := range wrong {
		t.Error(text)
	}
}

// TestPortForwardOutlivesTheAgent kills the agent: a connection that is made
// while it is away waits for it.
func TestPortForwardOutlivesTheAgent(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	ln, err := p.box.Listen("tcp", "127.0.0.1:9000")
	serve(t, ln, err, afterTheEnd("service"))
	p.forward(t, "--tcp", "9000")
	for range 3 {
		p.agent.Kill9()
		answer := make(chan string, 1)
		go func() {
			got, err := ask(within(t, patience), p.client, "tcp", "127.0.0.1:9000", "x")
			answer <- fmt.Sprint(got, " ", err)
		}()
		p.agent.Restart()
		if got := <-answer; got != "service got x <nil>" {
			t.Errorf("a connection over the restart of the agent: %s", got)
		}
	}
}

// What port-forward --auto promises. It asks for the ports every 0.4 s, and takes
// half a second at most beside four busy loops on two processors, so there is room
// for worse machines.
const (
	autoAppears = time.Second
	autoGone    = 2 * time.Second
)

// TestPortForwardAuto follows what listens in the workspace.
func TestPortForwardAuto(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	taken, err := p.client.Listen("tcp", "127.0.0.1:7001")
	serve(t, taken, err, afterTheEnd("taken"))
	proc := p.forward(t, "--auto")
	clock := newClock(t)
	mustSay := func(what string, limit time.Duration) string {
		t.Helper()
		began := clock.now()
		line, err := proc.WaitLine(within(t, patience), what)
		if err != nil {
			t.Fatal(err)
		}
		took := clock.now() - began
		t.Logf("after %v: %s", took, line)
		if took > limit {
			t.Errorf("%q came after %v, want at most %v", line, took, limit)
		}
		return line
	}
	for _, port := range []string{"7000", "7001"} {
		ln, err := p.box.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		line := mustSay("to port "+port+" of ws", autoAppears)
		if moved := !strings.Contains(line, ":"+port+","); moved != (port == "7001") {
			t.Errorf("port %s: %s; want the same port here unless it is taken", port, line)
		}
		ln.Close() // just after a question, so that it takes longest
		mustSay("nothing listens on port "+port+" of ws", autoGone)
	}
	if err := proc.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := proc.Wait(within(t, patience)); err != nil {
		t.Errorf("interrupted: %v, want that it ends well", err)
	}
}

// somebodyElse is a user who is not the agent's: nobody.
const somebodyElse = "65534"

// TestPortForwardAutoLeavesOthers has another user listen in the workspace, whose
// port is not forwarded, though it comes before one that is.
func TestPortForwardAutoLeavesOthers(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	proc := p.forward(t, "--auto")
	// The perl of perl-base, which every Debian has.
	const listen = `$s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:7002") or die $@; $| = 1; print "listening\n"; sleep`
	other := p.box.Start(p.box.Command(context.Background(), "setpriv", "--reuid="+somebodyElse, "--regid="+somebodyElse, "--clear-groups",
		"perl", "-MIO::Socket::INET", "-e", listen))
	if _, err := other.WaitLine(within(t, patience), "listening"); err != nil {
		t.Fatal(err)
	}
	own, err := p.box.Listen("tcp", "127.0.0.1:7003")
	serve(t, own, err, afterTheEnd("own"))
	if _, err := proc.WaitLine(within(t, patience), "to port 7003 of ws"); err != nil {
		t.Fatal(err)
	}
	if got := proc.Output(); strings.Contains(got, "port 7002 ") {
		t.Errorf("the port of another user is forwarded:\n%s", got)
	}
}
