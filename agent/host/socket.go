//go:build linux

package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Name derives the name of an agent's host from what identifies the agent. It
// tells nothing about that, as secret as it may be.
func Name(agent string) string {
	sum := sha256.Sum256([]byte("berth session host\x00" + agent))
	return hex.EncodeToString(sum[:16])
}

// address is the abstract socket of a name.
func address(name string) string { return "@berth/" + name }

// listen binds a name; that fails while another host has it.
func listen(name string) (net.Listener, error) {
	ln, err := net.Listen("unix", address(name))
	if err != nil {
		return nil, fmt.Errorf("listen for the network half: %w", err)
	}
	return ownListener{ln}, nil
}

// ownListener accepts connections of its own user only.
type ownListener struct{ net.Listener }

func (l ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || isOwn(conn) == nil {
			return conn, err
		}
		_ = conn.Close()
	}
}

func dial(ctx context.Context, name string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", address(name))
	if err != nil {
		return nil, err
	}
	if err := isOwn(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// isOwn reports, as an error, a process at the other end that is not ours to
// trust: anybody on the machine can bind and dial abstract names.
func isOwn(conn net.Conn) error {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	switch {
	case credErr != nil:
		return fmt.Errorf("ask who is at the other end: %w", credErr)
	case cred.Uid != 0 && cred.Uid != uint32(os.Geteuid()):
		return fmt.Errorf("process %d of user %d is at the other end", cred.Pid, cred.Uid)
	}
	return nil
}
