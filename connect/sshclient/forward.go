package sshclient

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// ErrForwardRefused reports a forward for which the server does not listen; it
// does not say why.
var ErrForwardRefused = errors.New("the workspace refused to listen")

// Dial makes the near end of a forwarded connection, within ctx. What it returns
// passes on the end of one direction if it has CloseWrite.
type Dial func(ctx context.Context) (net.Conn, error)

// Forward says where the server listens, on its loopback or on a Unix socket, and
// what its connections are joined with.
type Forward struct {
	// Name is what errors call it.
	Name string
	// Port is where the server listens; 0, without Path, lets it choose.
	Port uint16
	// Path is that of a Unix socket; then Port is not used.
	Path string
	// Dial makes the near end. Required.
	Dial Dial
}

// X11 is a display.
type X11 struct {
	// Protocol and Cookie authenticate programs in the workspace; the cookie is
	// hexadecimal.
	Protocol, Cookie string
	// Screen is the number of the screen of the display.
	Screen uint32
	// Dial reaches the display. Required.
	Dial Dial
}

// forwarding is the part of a session that carries connections from the server's
// side to ours.
type forwarding struct {
	carries   sync.WaitGroup
	listening chan struct{} // closed when the server has answered all forwards

	// Only the loop uses these.
	answers int // to forwards
	told    int // to questions

	// ports are where the server listens, one for each forward; they change until
	// listening is closed.
	ports []uint16

	carriedMu sync.Mutex // guards below
	carried   map[uint32]*channel
	last      uint32 // number that was given to a channel
}

func newForwarding(req Request) *forwarding {
	f := &forwarding{listening: make(chan struct{}), carried: map[uint32]*channel{}, last: ourChannel}
	for _, fw := range req.Forwards {
		f.ports = append(f.ports, fw.Port)
	}
	if len(f.ports) == 0 {
		close(f.listening)
	}
	return f
}

// Ports are where the server listens, one for each of Request.Forwards; 0 for Unix
// sockets.
func (s *Session) Ports() []uint16 { return s.ports }

// loopback is the address of forwards, which servers take for both families.
const loopback = "localhost"

// request asks the server to listen.
func (f Forward) request() []byte {
	if f.Path != "" {
		return ssh.Marshal(globalRequest{"streamlocal-forward@openssh.com", true, ssh.Marshal(textRequest{f.Path})})
	}
	return ssh.Marshal(globalRequest{"tcpip-forward", true, ssh.Marshal(tcpForward{loopback, uint32(f.Port)})})
}

// questions are what the session's channel is asked and must grant, in order.
func (r Request) questions() []string {
	var all []string
	if r.Agent != nil {
		all = append(all, "forward the authentication agent")
	}
	if r.X11 != nil {
		all = append(all, "forward X11")
	}
	return append(all, "run the command")
}

// askForwarding makes the requests for agent and display.
func (s *Session) askForwarding() (all [][]byte) {
	if s.request.Agent != nil {
		all = append(all, s.channelRequest("auth-agent-req@openssh.com", true, nil))
	}
	if x := s.request.X11; x != nil {
		all = append(all, s.channelRequest("x11-req", true, x11Request{false, x.Protocol, x.Cookie, x.Screen}))
	}
	return all
}

// answered handles the answer to the next forward that was asked for.
func (s *Session) answered(p []byte) error {
	if s.answers == len(s.ports) {
		return nil // nothing was asked
	}
	i := s.answers
	fw := s.request.Forwards[i]
	switch {
	case p[0] == msgRequestFailure:
		s.refuse(fmt.Errorf("%w: %s", ErrForwardRefused, fw.Name))
	case fw.Path == "" && fw.Port == 0:
		if len(p) < 5 || binary.BigEndian.Uint32(p[1:]) > 65535 {
			return fmt.Errorf("%w: no port for a forward", errPacket)
		}
		s.ports[i] = uint16(binary.BigEndian.Uint32(p[1:]))
	}
	if s.answers++; s.answers == len(s.ports) {
		close(s.listening)
	}
	return nil
}

// dialFor finds what a channel that the server opens is for.
func (s *Session) dialFor(m channelOpen) (Dial, error) {
	switch {
	case m.Type == "auth-agent@openssh.com" && s.request.Agent != nil:
		return s.request.Agent, nil
	case m.Type == "x11" && s.request.X11 != nil:
		return s.request.X11.Dial, nil
	case m.Type == "forwarded-tcpip":
		var to forwardedTCP
		if err := ssh.Unmarshal(m.Payload, &to); err != nil {
			return nil, fmt.Errorf("%w: %w", errPacket, err)
		}
		return s.forwardTo("", to.Port), nil
	case m.Type == "forwarded-streamlocal@openssh.com":
		var to forwardedUnix
		if err := ssh.Unmarshal(m.Payload, &to); err != nil {
			return nil, fmt.Errorf("%w: %w", errPacket, err)
		}
		return s.forwardTo(to.Path, 0), nil
	}
	return nil, nil
}

// forwardTo is the near end of a forward; nil if there is none.
func (s *Session) forwardTo(path string, port uint32) Dial {
	for i, f := range s.request.Forwards {
		if f.Path == path && (path != "" || uint32(s.ports[i]) == port) {
			return f.Dial
		}
	}
	return nil
}
