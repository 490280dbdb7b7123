//go:build linux

package sshclient_test

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
	"testing"

	"github.com/berthdev/berth/connect/sshclient"
)

// dialing reaches address.
func dialing(network, address string) sshclient.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
}

// serve handles each connection to a Unix socket of this test, until it ends.
func serve(t *testing.T, handle func(*net.UnixConn)) sshclient.Dial {
	t.Helper()
	path := filepath.Join(t.TempDir(), "near")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				handle(conn.(*net.UnixConn))
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return dialing("unix", path)
}

func echoes(conn *net.UnixConn) { io.Copy(conn, conn) }

// waiting opens a session that lasts until the test ends.
func waiting(t *testing.T, req sshclient.Request) *sshclient.Session {
	t.Helper()
	req.Command = "cat"
	s, _ := open(t, req)
	return s
}

// far is where the server of s listens for its only forward.
func far(t *testing.T, s *sshclient.Session) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Ports()[0]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func TestForwardsPassEachEndOn(t *testing.T) {
	// The near end hears all there is before it answers.
	near := serve(t, func(conn *net.UnixConn) {
		heard, _ := io.ReadAll(conn)
		fmt.Fprintf(conn, "heard %s", heard)
	})
	socket := filepath.Join(t.TempDir(), "far")
	s := waiting(t, sshclient.Request{Forwards: []sshclient.Forward{
		{Name: "port", Dial: near}, {Name: "socket", Path: socket, Dial: near},
	}})
	port := fmt.Sprintf("127.0.0.1:%d", s.Ports()[0])
	for network, address := range map[string]string{"tcp": port, "unix": socket} {
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "all")
		conn.(interface{ CloseWrite() error }).CloseWrite()
		if got, err := io.ReadAll(conn); err != nil || string(got) != "heard all" {
			t.Errorf("answer over %s after our end = %q, %v, want heard all", network, got, err)
		}
		conn.Close()
	}
}

func TestForwardsEndFromTheNearSide(t *testing.T) {
	heard := make(chan string, 1)
	near := serve(t, func(conn *net.UnixConn) {
		io.WriteString(conn, "greeting")
		conn.CloseWrite()
		rest, _ := io.ReadAll(conn)
		heard <- string(rest)
	})
	conn := far(t, waiting(t, sshclient.Request{Forwards: []sshclient.Forward{{Dial: near}}}))
	if got, err := io.ReadAll(conn); err != nil || string(got) != "greeting" {
		t.Fatalf("what the near end said = %q, %v, want greeting", got, err)
	}
	io.WriteString(conn, "answer")
	conn.CloseWrite()
	if got := <-heard; got != "answer" {
		t.Errorf("the near end heard %q after its own end, want answer", got)
	}
}

// TestManyForwardsAtOnce moves bytes both ways on many connections beside a
// session that does the same.
func TestManyForwardsAtOnce(t *testing.T) {
	s := waiting(t, sshclient.Request{Forwards: []sshclient.Forward{{Dial: serve(t, echoes)}}})
	data := make([]byte, 256<<10)
	rand.Read(data)
	const conns, own = 100, 16
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		for range own {
			s.Write(data)
		}
	})
	all.Go(func() {
		for range own {
			got := make([]byte, len(data))
			if _, err := io.ReadFull(s.Stdout, got); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the session gave other bytes back: %v", err)
				return
			}
		}
	})
	for range conns {
		conn := far(t, s)
		all.Go(func() {
			conn.Write(data)
			conn.CloseWrite()
		})
		all.Go(func() {
			if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back of %d, or other ones: %v", len(got), len(data), err)
			}
		})
	}
}

// TestSlowReaderHoldsUpNobody fills the window of one connection whose near end
// does not read.
func TestSlowReaderHoldsUpNobody(t *testing.T) {
	stuck := make(chan struct{})
	calls := make(chan struct{}, 1)
	near := serve(t, func(conn *net.UnixConn) {
		select {
		case calls <- struct{}{}:
			<-stuck
		default:
			echoes(conn)
		}
	})
	s := waiting(t, sshclient.Request{Forwards: []sshclient.Forward{{Dial: near}}})
	defer close(stuck)
	full := far(t, s)
	go full.Write(make([]byte, 64<<20)) // ends with the test
	for len(calls) == 0 {
		conn := far(t, s)
		conn.Close()
	}
	conn := far(t, s)
	io.WriteString(conn, "hello")
	conn.CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Errorf("echo beside a full connection = %q, %v, want hello", got, err)
	}
}

func TestLastBytesOfForwardsArrive(t *testing.T) {
	heard := make(chan int, 1)
	near := serve(t, func(conn *net.UnixConn) {
		n, _ := io.Copy(io.Discard, conn)
		heard <- int(n)
	})
	socket := filepath.Join(t.TempDir(), "far")
	const size = 1 << 20
	// The command does not wait for an answer before it ends.
	script := fmt.Sprintf(`python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect("%s"); s.sendall(b"x" * %d)'`, socket, size)
	s, _ := open(t, sshclient.Request{Command: script, Forwards: []sshclient.Forward{{Path: socket, Dial: near}}})
	if _, errs, exit := finish(t, s); exit.Status != 0 {
		t.Fatalf("%s = %+v, %s", script, exit, errs)
	}
	s.Close()
	if got := <-heard; got != size {
		t.Errorf("%d bytes arrived that the command wrote last, want %d", got, size)
	}
}

func TestForwardsOfNobody(t *testing.T) {
	gone := dialing("unix", filepath.Join(t.TempDir(), "gone"))
	conn := far(t, waiting(t, sshclient.Request{Forwards: []sshclient.Forward{{Dial: gone}}}))
	if got, err := io.ReadAll(conn); len(got) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("a connection to nobody gave %q, %v, want its end", got, err)
	}
}

func TestRefusedForwardIsNamed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	six, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", ln.Addr().(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	defer six.Close()
	refused := refusedOpen(t, sshclient.Request{Command: "x", Forwards: []sshclient.Forward{
		{Name: "the free one"}, {Name: "the one that is taken", Port: uint16(ln.Addr().(*net.TCPAddr).Port)}, {Name: "another"},
	}})
	if !errors.Is(refused, sshclient.ErrForwardRefused) || !strings.Contains(refused.Error(), "the one that is taken") {
		t.Errorf("Open with a port that is taken = %v, want ErrForwardRefused of the one that is taken", refused)
	}
}

func TestConnectionsOfSessionsThatEnd(t *testing.T) {
	s := waiting(t, sshclient.Request{Forwards: []sshclient.Forward{{Dial: serve(t, echoes)}}})
	conn := far(t, s)
	io.WriteString(conn, "x")
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a forwarded connection goes on without its session")
	}
	if conn, err := net.Dial("tcp", conn.RemoteAddr().String()); err == nil {
		conn.Close()
		t.Error("the server still listens after the session")
	}
}

func TestAgentOfTheClient(t *testing.T) {
	s, _ := open(t, sshclient.Request{
		Command: `test -S "$SSH_AUTH_SOCK" && python3 -c 'import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ["SSH_AUTH_SOCK"]); s.sendall(b"ask"); print(s.recv(3).decode())'`,
		Agent:   serve(t, echoes),
	})
	if out, errs, exit := finish(t, s); string(out) != "ask\n" || exit.Status != 0 {
		t.Errorf("what the agent echoes = %q, %+v, %s, want ask", out, exit, errs)
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	os.Unsetenv("SSH_AUTH_SOCK")
	s, _ = open(t, sshclient.Request{Command: `echo "${SSH_AUTH_SOCK-none}"`})
	if out, _, _ := finish(t, s); string(out) != "none\n" {
		t.Errorf("SSH_AUTH_SOCK of a session without an agent = %q, want none", out)
	}
}
