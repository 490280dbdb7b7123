package agent

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// maxLogs is how many bytes of its own log an agent keeps: some thousand lines.
const maxLogs = 256 << 10

// lastLines is a writer that keeps the last lines that were written.
type lastLines struct {
	mu   sync.Mutex // guards below
	kept []byte     // up to twice maxLogs, so that lines are not moved for each one
}

// Write keeps p, which is one line or more. It never fails.
func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept)+len(p) > 2*maxLogs {
		l.kept = append(l.kept[:0], l.lastLocked()...)
	}
	l.kept = append(l.kept, p[max(0, len(p)-maxLogs):]...)
	return len(p), nil
}

// lastLocked is what is kept, from the beginning of a line on.
func (l *lastLines) lastLocked() []byte {
	over := len(l.kept) - maxLogs
	if over <= 0 {
		return l.kept
	}
	end := bytes.IndexByte(l.kept[over-1:], '\n')
	return l.kept[over+end:]
}

// text is a copy of the last lines.
func (l *lastLines) text() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.lastLocked())
}

// kept returns a logger that writes what log does into lines too. Values that hold
// a secret do not format there either; see slog.LogValuer.
func kept(log *slog.Logger, lines *lastLines) *slog.Logger {
	level := slog.LevelInfo
	if log.Enabled(context.Background(), slog.LevelDebug) {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewMultiHandler(log.Handler(), slog.NewTextHandler(lines, &slog.HandlerOptions{Level: level})))
}
