//go:build linux

package sshd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Displays that we offer: those above the ten that real servers may take, up
// to TCP port 6200.
const (
	x11Port      = 6000
	firstDisplay = 10
	lastDisplay  = 200
)

// x11Request is the payload of x11-req (RFC 4254 §6.3.1).
type x11Request struct {
	Single   bool
	Protocol string
	Cookie   string // hexadecimal
	Screen   uint32
}

// maxCookie is more than any authentication protocol of X11 uses.
const maxCookie = 1 << 10

func parseX11(payload []byte) (x11Request, []byte, error) {
	var req x11Request
	if err := ssh.Unmarshal(payload, &req); err != nil {
		return req, nil, fmt.Errorf("parse x11 request: %w", err)
	}
	cookie, err := hex.DecodeString(req.Cookie)
	if err != nil || len(cookie) > maxCookie || len(req.Protocol) > maxCookie || strings.ContainsAny(req.Protocol, "\x00\n") {
		return req, nil, errors.New("parse x11 request: bad protocol or cookie")
	}
	return req, cookie, nil
}

// display is an X11 display of the client, offered on the loopback for the
// time of one session.
type display struct {
	name   string // value of DISPLAY
	number uint32
	single bool // ends with its first connection
	all    *displays
	lns    listeners
	auth   xauthFile
	entry  xauthEntry
	once   sync.Once

	// Guarded by all.mu.
	used  time.Time // last connection, or the start
	ready bool      // complete: may be closed to make room
}

// displays are those of all connections of a server.
type displays struct {
	mu   sync.Mutex // guards below and what displays say
	open map[uint32]*display
}

// forwardX11 answers x11-req: programs of the session get DISPLAY, and
// ~/.Xauthority the cookie for it.
func (s *session) forwardX11(payload []byte) bool {
	req, cookie, err := parseX11(payload)
	if err != nil || s.started || s.display != nil {
		return false
	}
	srv := s.conn.srv
	d, err := srv.displays.listen(s.ctx, req.Single)
	if err == nil {
		acc := ownAccount(s.ctx)
		home := homeOf(environment(srv.environ(), s.env, acc, s.login().Env, nil), acc)
		d.auth = xauthFile(filepath.Join(home, ".Xauthority"))
		d.entry = localEntry(d.number, req.Protocol, cookie)
		if err = d.auth.put(s.ctx, d.entry); err != nil {
			d.close()
		}
	}
	if err != nil {
		srv.log.WarnContext(s.ctx, "x11 is not forwarded", "error", err)
		return false
	}
	d.name = fmt.Sprintf("localhost:%d.%d", d.number, req.Screen)
	s.display = d
	d.touch()
	for _, ln := range d.lns {
		s.conn.work.Go(func() { s.conn.acceptForwards(s.ctx, displayListener{ln, d}, openX11) })
	}
	return true
}

// openX11 names the channel for a connection of an X11 program.
func openX11(from net.Conn) (string, []byte) {
	host, port := hostPort(from.RemoteAddr())
	n, _ := strconv.ParseUint(port, 10, 16) // from an address: always a number
	return "x11", ssh.Marshal(&struct {
		Originator string
		Port       uint32
	}{host, uint32(n)})
}

// displayListener notes the use of a display.
type displayListener struct {
	net.Listener
	d *display
}

func (l displayListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.d.touch()
		if l.d.single {
			_ = l.d.lns.Close()
		}
	}
	return conn, err
}

func (d *display) touch() {
	d.all.mu.Lock()
	defer d.all.mu.Unlock()
	d.used, d.ready = time.Now(), true
}

// close ends the display; connections that were made through it stay. It may
// be called more than once.
func (d *display) close() {
	d.once.Do(func() {
		_ = d.lns.Close()
		if d.auth != "" {
			_ = d.auth.remove(d.entry) // an entry too many does no harm
		}
		d.all.release(d.number)
	})
}

// listen opens the first free display. When none is left, the one that has not
// been used for the longest time ends.
func (a *displays) listen(ctx context.Context, single bool) (*display, error) {
	if d := a.firstFree(ctx, single); d != nil {
		return d, nil
	}
	old := a.oldest()
	if old == nil {
		return nil, errors.New("open display: no free port")
	}
	old.close()
	if d := a.firstFree(ctx, single); d != nil {
		return d, nil
	}
	return nil, errors.New("open display: no free port")
}

func (a *displays) firstFree(ctx context.Context, single bool) *display {
	for n := uint32(firstDisplay); n <= lastDisplay; n++ {
		d := &display{number: n, single: single, all: a}
		if !a.reserve(d) {
			continue
		}
		if lns, ok := listenDisplay(ctx, n); ok {
			d.lns = lns
			return d
		}
		a.release(n)
	}
	return nil
}

// listenDisplay takes the port of a display on IPv4, as a server of this number
// would, and on IPv6 if it is free there.
func listenDisplay(ctx context.Context, number uint32) (listeners, bool) {
	lns, _, err := listenLoopback(ctx, x11Port+number)
	if err != nil {
		return nil, false
	}
	if lns[0].Addr().(*net.TCPAddr).IP.To4() == nil {
		_ = lns.Close()
		return nil, false
	}
	return lns, true
}

func (a *displays) reserve(d *display) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil {
		a.open = map[uint32]*display{}
	}
	if a.open[d.number] != nil {
		return false
	}
	a.open[d.number] = d
	return true
}

func (a *displays) release(number uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, number)
}

func (a *displays) oldest() (old *display) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.open {
		if d.ready && (old == nil || d.used.Before(old.used)) {
			old = d
		}
	}
	return old
}
