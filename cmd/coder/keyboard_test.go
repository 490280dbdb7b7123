package main

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestKeyboardEscapes(t *testing.T) {
	for _, c := range []struct {
		typed, sent string
		quits       bool
	}{
		{"ls\r", "ls\r", false},
		{"~.", "", true},
		{"ls\r~.more", "ls\r", true},
		{"ls~.", "ls~.", false},
		{"~~.", "~.", false},
		{"~x", "~x", false},
		{"\r~~\r~.", "\r~\r", true},
		{"~\r~.", "~\r", true},
		{"cd ~\r", "cd ~\r", false},
		{"~/bin/x\r", "~/bin/x\r", false},
	} {
		for name, in := range map[string]io.Reader{
			"at once": strings.NewReader(c.typed), "key by key": iotest.OneByteReader(strings.NewReader(c.typed)),
		} {
			quit := false
			k := &keyboard{in: in, quit: func() { quit = true }}
			sent, err := io.ReadAll(k)
			if err != nil || string(sent) != c.sent || quit != c.quits || k.ended() != c.quits {
				t.Errorf("typing %q %s sends %q, %v and quits: %v, want %q, %v", c.typed, name, sent, err, quit, c.sent, c.quits)
			}
		}
	}
}
