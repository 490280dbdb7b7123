//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

// keys is how often one key is pressed.
const keys = 300

// keystrokes measures how long a key takes to be echoed by a terminal of the
// workspace, over what a byte takes through the same tunnel and back, and the
// same to sshd over what loopback takes.
func keystrokes(ctx context.Context, d *deployment, peer *openSSH, raw *ports) ([]row, error) {
	conn, err := d.tunnel(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	port, err := strconv.ParseUint(portOf(raw.echo), 10, 16)
	if err != nil {
		return nil, err
	}
	echo, err := conn.DialTCP(ctx, uint16(port))
	if err != nil {
		return nil, err
	}
	defer echo.Close()
	through, err := echoes(echo)
	if err != nil {
		return nil, fmt.Errorf("echo through the tunnel: %w", err)
	}
	session, err := conn.LastingSSH(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := terminalEchoes(session, &ssh.ClientConfig{})
	if err != nil {
		return nil, fmt.Errorf("echo of the workspace's terminal: %w", err)
	}
	theirs, err := peer.echoes(ctx)
	if err != nil {
		return nil, fmt.Errorf("echo of sshd's terminal: %w", err)
	}
	return []row{
		{"a byte through the tunnel and back, p50", through, "ms", "", 0, nil, nil},
		{"a key over that, p50", ours - through, "ms", "a key to sshd", theirs, []limit{atMost(1)}, nil},
	}, nil
}

// echoes is the median time of a byte to a peer and back, in milliseconds.
func echoes(peer io.ReadWriter) (float64, error) {
	var took []float64
	b := []byte{'x'}
	for range keys {
		began := time.Now()
		if _, err := peer.Write(b); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(peer, b); err != nil {
			return 0, err
		}
		took = append(took, milliseconds(time.Since(began)))
	}
	return median(took), nil
}

// terminalEchoes is echoes of a terminal whose program reads lines.
func terminalEchoes(conn net.Conn, cfg *ssh.ClientConfig) (float64, error) {
	cfg.HostKeyCallback = ssh.InsecureIgnoreHostKey()
	sc, chans, reqs, err := ssh.NewClientConn(conn, "", cfg)
	if err != nil {
		return 0, errors.Join(err, conn.Close())
	}
	client := ssh.NewClient(sc, chans, reqs)
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	var terminal struct {
		io.Reader
		io.Writer
	}
	if terminal.Reader, err = s.StdoutPipe(); err != nil {
		return 0, err
	}
	if terminal.Writer, err = s.StdinPipe(); err != nil {
		return 0, err
	}
	if err := s.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		return 0, err
	}
	if err := s.Start("printf 'ready'; exec cat"); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(terminal, make([]byte, len("ready"))); err != nil {
		return 0, err
	}
	return echoes(terminal)
}

func (s *openSSH) echoes(ctx context.Context) (float64, error) {
	raw, err := os.ReadFile(s.file("user"))
	if err != nil {
		return 0, err
	}
	key, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		return 0, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(s.host, s.port))
	if err != nil {
		return 0, err
	}
	return terminalEchoes(conn, &ssh.ClientConfig{User: currentUser(), Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}})
}
