//go:build linux

package main

import (
	"bytes"
	endian "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseDisplay(t *testing.T) {
	for text, want := range map[string]display{
		":0":                        {"unix", "/tmp/.X11-unix/X0", 0},
		"unix:3.1":                  {"unix", "/tmp/.X11-unix/X3", 1},
		"localhost:10.0":            {"tcp", "localhost:6010", 0},
		"[::1]:2":                   {"tcp", "[::1]:6002", 0},
		"/tmp/launch.x/org.x:0":     {"unix", "/tmp/launch.x/org.x:0", 0},
		"desk.example.com:59535.12": {"tcp", "desk.example.com:65535", 12},
	} {
		if got, err := parseDisplay(text); err != nil || got != want {
			t.Errorf("parseDisplay(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", ":", ":x", ":0.x", ":59536", ":-1", ":0.4294967296"} {
		if got, err := parseDisplay(text); err == nil {
			t.Errorf("parseDisplay(%q) = %+v, want an error", text, got)
		}
	}
}

// greeting is how a program begins to talk to a display.
func greeting(order endian.ByteOrder, name, cookie string) []byte {
	b := make([]byte, 12, 64)
	b[0] = 'l'
	if order == endian.ByteOrder(endian.BigEndian) {
		b[0] = 'B'
	}
	order.PutUint16(b[2:], 11)
	order.PutUint16(b[6:], uint16(len(name)))
	order.PutUint16(b[8:], uint16(len(cookie)))
	for _, s := range []string{name, cookie} {
		b = append(b, s...)
		b = append(b, make([]byte, filled(len(s))-len(s))...)
	}
	return b
}

func TestCookieIsReplaced(t *testing.T) {
	c := &cookies{protocol: cookieName, fake: []byte("sixteen bytes ..."[:16]), real: []byte("real")}
	for _, order := range []endian.ByteOrder{endian.LittleEndian, endian.BigEndian} {
		sent := append(greeting(order, cookieName, string(c.fake)), "more"...)
		want := append(greeting(order, cookieName, "real"), "more"...)
		for n := range sent[:len(sent)-4] {
			if got, err := c.replace(sent[:n]); got != nil || err != nil {
				t.Errorf("replace of %d bytes = %q, %v, want nil until the greeting is complete", n, got, err)
			}
		}
		if got, err := c.replace(sent); err != nil || !bytes.Equal(got, want) {
			t.Errorf("replace(%q) = %q, %v, want %q", sent, got, err, want)
		}
	}
	for name, sent := range map[string][]byte{
		"another cookie":    greeting(endian.LittleEndian, cookieName, "sixteen bytes :::"[:16]),
		"a shorter cookie":  greeting(endian.LittleEndian, cookieName, "sixteen"),
		"no cookie":         greeting(endian.LittleEndian, "", ""),
		"another protocol":  greeting(endian.LittleEndian, strings.Replace(cookieName, "1", "2", 1), string(c.fake)),
		"no order of bytes": append([]byte("x"), greeting(endian.LittleEndian, cookieName, string(c.fake))[1:]...),
	} {
		if got, err := c.replace(sent); !errors.Is(err, errCookie) {
			t.Errorf("replace with %s = %q, %v, want errCookie", name, got, err)
		}
	}
}

func FuzzGreeting(f *testing.F) {
	c := &cookies{protocol: cookieName, fake: make([]byte, cookieSize), real: []byte("real")}
	f.Add(greeting(endian.LittleEndian, cookieName, string(c.fake)))
	f.Add(greeting(endian.BigEndian, cookieName, "x"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		out, err := c.replace(sent)
		if err != nil || out == nil {
			return
		}
		if !bytes.HasPrefix(sent[12:], []byte(cookieName)) || !bytes.Contains(out, c.real) {
			t.Errorf("replace(%q) = %q, want only greetings with our cookie to pass", sent, out)
		}
	})
}

// TestDisplayIsForwarded has a program of the workspace greet a display here with
// the cookie that it finds there.
func TestDisplayIsForwarded(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "ws")
	const real = "00112233445566778899aabbccddeeff"
	seen := make(chan string, 10)
	ln := listenDisplay(t)
	serve(t, ln, func(conn net.Conn) {
		head := make([]byte, 12+20+16)
		if _, err := io.ReadFull(conn, head); err == nil {
			seen <- fmt.Sprintf("%x", head[32:])
			io.WriteString(conn, "welcome")
		}
	})
	name := fmt.Sprintf("127.0.0.1:%d.1", ln.Addr().(*net.TCPAddr).Port-6000)
	env := []string{"DISPLAY=" + name, "XAUTHORITY=" + filepath.Join(t.TempDir(), "xauth")}
	must(t, env, "xauth", "-q", "add", name, cookieName, real)
	greet := `python3 -c 'import os, socket, subprocess
host, rest = os.environ["DISPLAY"].split(":")
number, screen = rest.split(".")
name, cookie = subprocess.check_output(["xauth", "list", "unix:" + number]).split()[1:]
cookie = bytes.fromhex(cookie.decode())
if %s: cookie = bytes(16)
s = socket.create_connection((host, 6000 + int(number)))
s.sendall(b"l\0\x0b\0\0\0" + bytes([len(name), 0, len(cookie), 0, 0, 0]) + name + b"\0\0" + cookie)
print(screen, s.recv(7).decode())'`
	out, errs, _ := finish(t, l.command("ssh", "-X", "ws", "--", fmt.Sprintf(greet, "False")), env...)
	if out != "1 welcome\n" {
		t.Fatalf("a program that greets the display gets %q, %q, want 1 welcome", out, errs)
	}
	if got := <-seen; got != real {
		t.Errorf("the display is shown the cookie %s, want its own %s", got, real)
	}
	out, _, _ = finish(t, l.command("ssh", "ws", "--", fmt.Sprintf(greet, "True")), append(env, "CODER_SSH_FORWARD_X11=true")...)
	if strings.Contains(out, "welcome") || len(seen) > 0 {
		t.Errorf("a program with another cookie gets %q, want to be refused here", out)
	}
	for want, display := range map[string]string{
		"DISPLAY is not set":                      "DISPLAY=",
		`"x" is no X11 display`:                   "DISPLAY=x",
		"the display 127.0.0.1:0 does not answer": "DISPLAY=127.0.0.1:0",
	} {
		_, errs, code := finish(t, l.command("ssh", "-X", "ws", "true"), display)
		if !strings.Contains(errs, "error: --forward-x11: ") || !strings.Contains(errs, want) || code != 1 {
			t.Errorf("ssh -X with %s = %d, %q, want 1 and %q", display, code, errs, want)
		}
	}
}

// listenDisplay listens where a display of this machine could.
func listenDisplay(t *testing.T) net.Listener {
	t.Helper()
	for number := 300; number < 400; number++ {
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 6000+number)); err == nil {
			return ln
		}
	}
	t.Fatal("no port is free for a display")
	return nil
}
