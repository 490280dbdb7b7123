package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	endian "encoding/binary" // binary is a function here
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/berthdev/berth/connect/sshclient"
)

// cookieName is the authentication of displays that everybody uses; its cookies
// have 16 bytes.
const (
	cookieName = "MIT-MAGIC-COOKIE-1"
	cookieSize = 16
)

// display is a parsed value of DISPLAY.
type display struct {
	network, address string // for net.Dial
	screen           uint32
}

// parseDisplay reads host:number.screen, where no host or unix is the socket of
// this machine, and a path with its number is that socket.
func parseDisplay(text string) (display, error) {
	bad := fmt.Errorf("%.100q is no X11 display", text)
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return display{}, bad
	}
	host := text[:colon]
	number, screenText, hasScreen := strings.Cut(text[colon+1:], ".")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n > 65535-6000 {
		return display{}, bad
	}
	d := display{network: "unix"}
	if hasScreen {
		screen, err := strconv.ParseUint(screenText, 10, 31)
		if err != nil {
			return display{}, bad
		}
		d.screen = uint32(screen)
	}
	switch {
	case host == "" || host == "unix":
		d.address = "/tmp/.X11-unix/X" + number
	case strings.HasPrefix(host, "/"):
		d.address = host + ":" + number
	default:
		d.network, d.address = "tcp", net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(6000+int(n)))
	}
	return d, nil
}

// findDisplay reaches the display of this machine. The workspace gets a cookie that
// is worth nothing elsewhere: the display's own stays here.
func findDisplay(ctx context.Context) (*sshclient.X11, error) {
	name := os.Getenv("DISPLAY")
	if name == "" {
		return nil, errors.New("--forward-x11: there is no display: DISPLAY is not set")
	}
	d, err := parseDisplay(name)
	if err != nil {
		return nil, fmt.Errorf("--forward-x11: %w", err)
	}
	dial := dialing(d.network, d.address)
	if err := probe(ctx, dial); err != nil {
		return nil, fmt.Errorf("--forward-x11: the display %s does not answer: %w", name, err)
	}
	c := &cookies{protocol: cookieName, fake: make([]byte, cookieSize)}
	rand.Read(c.fake) // never fails
	if c.real = ownCookie(ctx, name); c.real == nil {
		fmt.Fprintf(os.Stderr, "warning: xauth has no cookie for %s; the display may refuse programs\n", printable(name))
		c.real = c.fake
	}
	return &sshclient.X11{
		Protocol: c.protocol, Cookie: hex.EncodeToString(c.fake), Screen: d.screen,
		Dial: func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			if err != nil {
				return nil, err
			}
			return &displayConn{Conn: conn, cookies: c}, nil
		},
	}, nil
}

// ownCookie asks xauth for the cookie of a display; nil if it knows none.
func ownCookie(ctx context.Context, name string) []byte {
	if host, number, _ := strings.Cut(name, ":"); host == "localhost" { // as xauth keeps it
		name = "unix:" + number
	}
	out, err := exec.CommandContext(ctx, "xauth", "list", name).Output()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[1] == cookieName {
			if cookie, err := hex.DecodeString(fields[2]); err == nil {
				return cookie
			}
		}
	}
	return nil
}

// cookies are what programs in the workspace show, and what the display wants to
// see instead.
type cookies struct {
	protocol   string
	fake, real []byte
}

// displayConn is a connection to a display. What is written to it begins with
// the greeting of a program, whose cookie is replaced.
type displayConn struct {
	net.Conn
	cookies *cookies
	head    []byte // of the greeting, while it is not complete
	greeted bool
}

func (c *displayConn) Write(p []byte) (int, error) {
	if c.greeted {
		return c.Conn.Write(p)
	}
	c.head = append(c.head, p...)
	out, err := c.cookies.replace(c.head)
	if err != nil || out == nil {
		return len(p), err
	}
	c.greeted, c.head = true, nil
	_, err = c.Conn.Write(out)
	return len(p), err
}

// CloseWrite ends the direction towards the display.
func (c *displayConn) CloseWrite() error {
	closeWrite(c.Conn)
	return nil
}

var errCookie = errors.New("a program of the workspace has no valid X11 cookie")

// replace returns what a program sent to a display with the display's own cookie
// in it; nil if the greeting is not complete. It is
//
//	byte      B or l: the order of the bytes in numbers
//	5 bytes   unused, version
//	uint16    n, length of the name of the protocol
//	uint16    d, length of the cookie
//	2 bytes   unused
//	n bytes   name, filled up to a multiple of 4
//	d bytes   cookie, filled up to a multiple of 4
func (c *cookies) replace(sent []byte) ([]byte, error) {
	const fixed = 12
	if len(sent) < fixed {
		return nil, nil
	}
	var order endian.ByteOrder
	switch sent[0] {
	case 'B':
		order = endian.BigEndian
	case 'l':
		order = endian.LittleEndian
	default:
		return nil, errCookie
	}
	nameSize, cookieSize := int(order.Uint16(sent[6:])), int(order.Uint16(sent[8:]))
	if nameSize != len(c.protocol) || cookieSize != len(c.fake) {
		return nil, errCookie
	}
	cookieAt := fixed + filled(nameSize)
	end := cookieAt + filled(cookieSize)
	if len(sent) < end {
		return nil, nil
	}
	same := subtle.ConstantTimeCompare(sent[cookieAt:cookieAt+cookieSize], c.fake) == 1
	if !same || string(sent[fixed:fixed+nameSize]) != c.protocol {
		return nil, errCookie
	}
	out := bytes.Clone(sent[:cookieAt])
	order.PutUint16(out[8:], uint16(len(c.real)))
	out = append(out, c.real...)
	out = append(out, make([]byte, filled(len(c.real))-len(c.real))...)
	return append(out, sent[end:]...), nil
}

// filled is a length up to the next multiple of 4.
func filled(n int) int { return (n + 3) &^ 3 }
