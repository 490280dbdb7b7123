package sshclient

import (
	"bufio"
	"bytes"
	"io"
	"testing"

	"golang.org/x/crypto/ssh"
)

// FuzzMessages feeds messages as a hostile server could send them once there
// are keys: the session may end, but neither panic nor write to a channel
// before it is open.
func FuzzMessages(f *testing.F) {
	f.Add(ssh.Marshal(channelOpenConfirm{0, 0, 100, 100, nil}), ssh.Marshal(channelRequest{0, "exit-status", false, []byte{0, 0, 0, 1}}))
	f.Add(ssh.Marshal(channelOpenConfirm{0, 1 << 31, 0, 1, nil}), append(notice(msgChannelData, 0), 0, 0, 0, 1, 'x'))
	f.Add(ssh.Marshal(globalRequest{"keepalive@openssh.com", true, nil}), ssh.Marshal(windowAdjust{0, 1 << 31}))
	f.Add(ssh.Marshal(channelRequest{0, "exit-signal", true, []byte{0, 0, 0, 9}}), ssh.Marshal(disconnect{2, "bye", ""}))
	f.Add(ourInit("", true), notice(msgChannelClose, 0))
	f.Add(notice(msgChannelExtended, 0), notice(msgChannelSuccess, 0))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := &Session{
			out: newBuffer(), err: newBuffer(), room: window,
			opened: make(chan struct{}), started: make(chan struct{}), ended: make(chan struct{}),
		}
		s.cond.L = &s.mu
		s.t.in.r = bufio.NewReader(bytes.NewReader(second))
		s.t.out.w = io.Discard
		for _, p := range [][]byte{first, second} {
			if len(p) > 0 && s.handle(p) != nil {
				return
			}
		}
	})
}
