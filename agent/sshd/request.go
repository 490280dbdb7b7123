//go:build linux

package sshd

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// ptyRequest is the payload of pty-req (RFC 4254 §6.2).
type ptyRequest struct {
	Term          string
	Columns, Rows uint32
	Width, Height uint32
	Modes         string
}

// windowChange is the payload of window-change (RFC 4254 §6.7).
type windowChange struct{ Columns, Rows, Width, Height uint32 }

func (p *ptyRequest) window() windowChange {
	return windowChange{p.Columns, p.Rows, p.Width, p.Height}
}

// winsize fits w into what a terminal can hold.
func (w windowChange) winsize() *unix.Winsize {
	fit := func(n uint32) uint16 { return uint16(min(n, 1<<16-1)) }
	return &unix.Winsize{Row: fit(w.Rows), Col: fit(w.Columns), Xpixel: fit(w.Width), Ypixel: fit(w.Height)}
}

// maxTerm is the longest terminal name taken; terminfo names end at 128.
const maxTerm = 128

func parsePTY(payload []byte) (*ptyRequest, error) {
	var p ptyRequest
	if err := ssh.Unmarshal(payload, &p); err != nil {
		return nil, fmt.Errorf("parse pty request: %w", err)
	}
	if len(p.Term) > maxTerm || strings.ContainsRune(p.Term, 0) {
		return nil, fmt.Errorf("parse pty request: bad terminal name of %d bytes", len(p.Term))
	}
	if err := applyModes(new(unix.Termios), p.Modes); err != nil {
		return nil, fmt.Errorf("parse pty request: %w", err)
	}
	return &p, nil
}

func parseWindow(payload []byte) (windowChange, error) {
	var w windowChange
	if err := ssh.Unmarshal(payload, &w); err != nil {
		return w, fmt.Errorf("parse window change: %w", err)
	}
	return w, nil
}

// parseString parses a payload of one string that must be usable as an
// argument of a process: without NUL.
func parseString(payload []byte) (string, error) {
	var v struct{ Value string }
	if err := ssh.Unmarshal(payload, &v); err != nil {
		return "", fmt.Errorf("parse request: %w", err)
	}
	if strings.ContainsRune(v.Value, 0) {
		return "", fmt.Errorf("parse request: NUL in text of %d bytes", len(v.Value))
	}
	return v.Value, nil
}

// parseEnv returns the KEY=VALUE of an env request.
func parseEnv(payload []byte) (string, error) {
	var v struct{ Name, Value string }
	if err := ssh.Unmarshal(payload, &v); err != nil {
		return "", fmt.Errorf("parse env request: %w", err)
	}
	if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") || strings.ContainsRune(v.Value, 0) {
		return "", fmt.Errorf("parse env request: bad name or value of %d bytes", len(payload))
	}
	return v.Name + "=" + v.Value, nil
}
