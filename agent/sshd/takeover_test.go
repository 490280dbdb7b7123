//go:build linux

package sshd

import (
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// TestForwardOfAClientThatIsAway has a client ask for what another holds, who answers
// or gives no sign of life.
func TestForwardOfAClientThatIsAway(t *testing.T) {
	for name, answers := range map[string]bool{"there": true, "away": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, Config{})
			older, _, reqs := pipeClient(t, s)
			newer, chans, newReqs := pipeClient(t, s)
			defer s.Close()
			defer older.Close()
			defer newer.Close()
			for _, in := range []<-chan *ssh.Request{reqs, newReqs} {
				if in == newReqs || answers {
					go ssh.DiscardRequests(in)
				}
			}
			ok, answer, err := older.SendRequest("tcpip-forward", true, ssh.Marshal(tcpForward{"localhost", 0}))
			var got struct{ Port uint32 }
			if err != nil || !ok || ssh.Unmarshal(answer, &got) != nil {
				t.Fatalf("tcpip-forward of any port = %v, %q, %v", ok, answer, err)
			}
			socket := filepath.Join(t.TempDir(), "socket")
			if ok, _, err := older.SendRequest("streamlocal-forward@openssh.com", true, ssh.Marshal(struct{ Path string }{socket})); err != nil || !ok {
				t.Fatalf("streamlocal-forward = %v, %v", ok, err)
			}
			began := time.Now()
			defer func() {
				if took := time.Since(began); took > 2*lifePatience-time.Second {
					t.Errorf("two forwards took %v, want one wait for a sign of life", took)
				}
			}()
			for kind, where := range map[string]struct {
				network, address string
				payload          []byte
			}{
				"tcpip-forward":                   {"tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(got.Port))), ssh.Marshal(tcpForward{"", got.Port})},
				"streamlocal-forward@openssh.com": {"unix", socket, ssh.Marshal(struct{ Path string }{socket})},
			} {
				ok, _, err := newer.SendRequest(kind, true, where.payload)
				if err != nil || ok == answers {
					t.Errorf("%s of what another client holds, who is %s = %v, %v", kind, name, ok, err)
				}
				if !ok {
					continue
				}
				conn, err := net.Dial(where.network, where.address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := (<-chans).Reject(ssh.ConnectionFailed, ""); err != nil {
					t.Errorf("answer the connection that came to the newer client: %v", err)
				}
			}
		})
	}
}
