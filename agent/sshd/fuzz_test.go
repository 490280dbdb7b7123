//go:build linux

package sshd

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// FuzzRequests feeds every parser of what clients send; what it accepts must
// be safe to hand to the system.
func FuzzRequests(f *testing.F) {
	f.Add(ssh.Marshal(&ptyRequest{Term: "xterm", Columns: 80, Rows: 24, Modes: "\x01\x00\x00\x00\x03\x00"}))
	f.Add(ssh.Marshal(&windowChange{80, 24, 0, 0}))
	f.Add(ssh.Marshal(&struct{ Name, Value string }{"LANG", "C.UTF-8"}))
	f.Add(ssh.Marshal(&struct{ Command string }{"echo hello"}))
	f.Add(ssh.Marshal(&tcpForward{"localhost", 8080}))
	f.Add(ssh.Marshal(&struct {
		Host  string
		Port  uint32
		From  string
		FPort uint32
	}{"localhost", 80, "::1", 1}))
	f.Add(ssh.Marshal(&struct {
		Path, Reserved string
		Unused         uint32
	}{"/tmp/socket", "", 0}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := parsePTY(data); err == nil && strings.ContainsRune(p.Term, 0) {
			t.Errorf("parsePTY: NUL in %q", p.Term)
		}
		if w, err := parseWindow(data); err == nil {
			w.winsize()
		}
		if s, err := parseString(data); err == nil && strings.ContainsRune(s, 0) {
			t.Errorf("parseString: NUL in %q", s)
		}
		if e, err := parseEnv(data); err == nil && (e[0] == '=' || strings.ContainsRune(e, 0)) {
			t.Errorf("parseEnv = %q", e)
		}
		if to, err := parseDirectUnix(data); err == nil && !filepath.IsAbs(to.address) {
			t.Errorf("parseDirectUnix = %q, want an absolute path", to.address)
		}
		if p, err := parseUnixForward(data); err == nil && !filepath.IsAbs(p) {
			t.Errorf("parseUnixForward = %q, want an absolute path", p)
		}
		if to, err := parseDirectTCP(data); err == nil && strings.HasSuffix(to.address, ":0") {
			t.Errorf("parseDirectTCP = %q", to.address)
		}
		if p, err := parseTCPForward(data); err == nil && p.Port > 65535 {
			t.Errorf("parseTCPForward = %+v", p)
		}
		if _, cookie, err := parseX11(data); err == nil && len(cookie) > maxCookie {
			t.Errorf("parseX11: cookie of %d bytes", len(cookie))
		}
		for _, entry := range parseEnvFile(string(data)) {
			if entry[0] == '=' || strings.ContainsAny(entry, "\x00\n") {
				t.Errorf("parseEnvFile = %q", entry)
			}
		}
		_ = applyModes(new(unix.Termios), string(data))
	})
}

func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/bash\nu:x:7:7::/home/u:\n")
	f.Fuzz(func(t *testing.T, passwd string) {
		if a, ok := findAccount(strings.NewReader(passwd), "7"); ok && a.name == "" {
			t.Errorf("findAccount(%q) = %+v, want a name", passwd, a)
		}
	})
}
