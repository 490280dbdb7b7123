package sshclient

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
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
	f.Add(ssh.Marshal(channelOpen{"forwarded-tcpip", 7, 100, 100, ssh.Marshal(forwardedTCP{"localhost", 80, "::1", 1})}), notice(msgChannelClose, 1))
	f.Add(ssh.Marshal(channelOpen{"forwarded-streamlocal@openssh.com", 7, 1, 1, ssh.Marshal(forwardedUnix{"/s", ""})}), append(notice(msgChannelData, 1), 0, 0, 0, 1, 'x'))
	f.Add(ssh.Marshal(channelOpen{"auth-agent@openssh.com", 7, 0, 1, nil}), ssh.Marshal(channelRequest{1, "x", true, nil}))
	f.Add([]byte{msgRequestSuccess, 0, 0, 0, 80}, []byte{msgRequestFailure})
	f.Add(notice(msgChannelExtended, 0), notice(msgChannelSuccess, 0))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		near := func(context.Context) (net.Conn, error) {
			here, there := net.Pipe()
			go io.Copy(there, there)
			return here, nil
		}
		s := newSession(nil, Request{Agent: near, Forwards: []Forward{{Port: 80, Dial: near}, {Path: "/s", Dial: near}, {Dial: near}}})
		defer s.carries.Wait()
		defer s.lostCarried(ErrLost, ErrLost)
		s.t.in.r = bufio.NewReader(bytes.NewReader(second))
		s.t.out.w = io.Discard
		for _, p := range [][]byte{first, second} {
			if len(p) > 0 && s.handle(t.Context(), p) != nil {
				return
			}
		}
	})
}
