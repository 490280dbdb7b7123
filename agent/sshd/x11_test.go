//go:build linux

package sshd

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// startX11 asks for X11 and returns the display of a session that waits.
func startX11(t *testing.T, client *ssh.Client, single bool) (s *ssh.Session, display string) {
	t.Helper()
	s = newSession(t, client)
	req := ssh.Marshal(&x11Request{Single: single, Protocol: cookieName, Cookie: "00ff"})
	if ok, err := s.SendRequest("x11-req", true, req); !ok || err != nil {
		t.Fatalf("x11-req = %v, %v, want true", ok, err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("echo $DISPLAY; cat"); err != nil {
		t.Fatal(err)
	}
	return s, strings.TrimSpace(expect(t, out, "\n"))
}

func displayAddress(t *testing.T, display string) string {
	t.Helper()
	number, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(display, "localhost:"), ".0"))
	if err != nil {
		t.Fatalf("DISPLAY = %q, want localhost:<number>.0", display)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(x11Port+number))
}

func TestDisplayEndsWithItsSession(t *testing.T) {
	l := newLab(t, Config{})
	file := filepath.Join(l.home, ".Xauthority")
	before := localEntry(77, "OTHER", []byte("kept")).append(nil)
	if err := os.WriteFile(file, before, 0o600); err != nil {
		t.Fatal(err)
	}
	client := l.dial(t)
	s, display := startX11(t, client, false)
	during, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(during, []byte("kept")) || !bytes.HasSuffix(during, []byte("\x00\xff")) {
		t.Errorf("cookies = %q, %v, want the old one and ours", during, err)
	}
	address := displayAddress(t, display)
	opened := client.HandleChannelOpen("x11")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = (<-opened).Reject(ssh.Prohibited, "no")
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read of a refused connection = %v, want EOF", err)
	}
	_ = conn.Close()
	_ = s.Close()
	l.close(t)
	if after, err := os.ReadFile(file); !bytes.Equal(after, before) {
		t.Errorf("cookies after the session = %q, %v, want %q", after, err, before)
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Error("Dial after the session = nil, want refused")
	}
}

func TestSingleDisplayServesOneConnection(t *testing.T) {
	client := newLab(t, Config{}).dial(t)
	_, display := startX11(t, client, true)
	opened := client.HandleChannelOpen("x11")
	conn, err := net.Dial("tcp", displayAddress(t, display))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := (<-opened).ChannelType(); got != "x11" {
		t.Errorf("channel = %s, want x11", got)
	}
	if conn, err := net.Dial("tcp", displayAddress(t, display)); err == nil {
		_ = conn.Close()
		t.Error("second Dial = nil, want refused")
	}
}

func TestOldestDisplayMakesRoom(t *testing.T) {
	var all displays
	var open []*display
	defer func() {
		for _, d := range open {
			d.close()
		}
	}()
	for d := all.firstFree(t.Context(), false); d != nil; d = all.firstFree(t.Context(), false) {
		open = append(open, d)
	}
	if len(open) < 3 {
		t.Fatalf("%d displays are free on this machine, want some", len(open))
	}
	for _, d := range open {
		d.touch()
	}
	open[0].touch()
	d, err := all.listen(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	open = append(open, d)
	if d.number != open[1].number {
		t.Errorf("listen took display %d, want %d, which was unused for the longest time", d.number, open[1].number)
	}
}

func TestBadX11Requests(t *testing.T) {
	s := newLab(t, Config{}).session(t)
	for _, payload := range [][]byte{
		nil, ssh.Marshal(&x11Request{Cookie: "xyz"}), ssh.Marshal(&x11Request{Cookie: strings.Repeat("00", 5000)}),
		ssh.Marshal(&x11Request{Protocol: "a\nb", Cookie: "00"}),
	} {
		if ok, err := s.SendRequest("x11-req", true, payload); ok || err != nil {
			t.Errorf("x11-req(%.40q) = %v, %v, want false", payload, ok, err)
		}
	}
}

func TestLockOfTheDeadIsBroken(t *testing.T) {
	file := xauthFile(filepath.Join(t.TempDir(), ".Xauthority"))
	if err := os.WriteFile(string(file)+"-c", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := localEntry(1, "p", []byte("c"))
	if err := file.put(t.Context(), e); err == nil {
		t.Error("put while somebody holds the lock = nil, want an error")
	}
	old := time.Now().Add(-2 * xauthStale)
	if err := os.Chtimes(string(file)+"-c", old, old); err != nil {
		t.Fatal(err)
	}
	if err := file.put(t.Context(), e); err != nil {
		t.Errorf("put with a lock of %v = %v, want nil", old, err)
	}
}

func FuzzXauth(f *testing.F) {
	f.Add(localEntry(10, cookieName, []byte("cookie")).append(nil))
	f.Add([]byte{0, 1, 0, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseXauth(data)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range entries {
			again = e.append(again)
		}
		if !bytes.Equal(again, data) {
			t.Errorf("parseXauth(%x) = %v, which is written as %x", data, entries, again)
		}
		if back, err := parseXauth(again); err != nil || !reflect.DeepEqual(back, entries) {
			t.Errorf("parseXauth(%x) = %v, %v, want %v", again, back, err, entries)
		}
	})
}
