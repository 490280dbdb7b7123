package main

import (
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/berthdev/berth/connect"
	"github.com/berthdev/berth/connect/sshclient"
)

// ourTerminal describes the terminal that we run in.
func ourTerminal() *sshclient.Terminal {
	name := os.Getenv("TERM")
	if name == "" {
		name = "xterm-256color"
	}
	t := &sshclient.Terminal{Term: name, Columns: 80, Rows: 24}
	if columns, rows, err := term.GetSize(int(os.Stdout.Fd())); err == nil && columns > 0 && rows > 0 { // some have none
		t.Columns, t.Rows = columns, rows
	}
	return t
}

// makeRaw gives us every key. restore undoes it and may be called twice.
func makeRaw(fd int) (restore func(), err error) {
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	restoreOutput := rawOutput()
	var once sync.Once
	return func() {
		once.Do(func() {
			restoreOutput()
			term.Restore(fd, before)
		})
	}, nil
}

// followSize tells each new size of the terminal until ctx ends or resize fails.
func followSize(ctx context.Context, resize func(columns, rows int) error) {
	changes, stop := sizeChanges()
	defer stop()
	last := ourTerminal()
	for {
		select {
		case <-changes:
		case <-ctx.Done():
			return
		}
		now := ourTerminal()
		if *now == *last {
			continue
		}
		last = now
		if resize(now.Columns, now.Rows) != nil {
			return // the session has ended, which others tell
		}
	}
}

// keyboard reads keys and looks for the escape of OpenSSH: ~. at the start of a
// line quits, ~~ is one ~.
type keyboard struct {
	in    io.Reader
	quit  func()
	quits atomic.Bool

	midLine bool // the last key did not end a line
	tilde   bool // a ~ at the start of a line is held back
}

func (k *keyboard) ended() bool { return k.quits.Load() }

// Read is that of an io.Reader; the end is io.EOF also after ~.
func (k *keyboard) Read(p []byte) (int, error) {
	keys := make([]byte, len(p)/2) // a ~ that was held back may come out too
	for {
		n, err := k.in.Read(keys)
		out := k.filter(p[:0], keys[:n])
		if k.ended() {
			return len(out), io.EOF
		}
		if len(out) > 0 || err != nil {
			return len(out), err
		}
	}
}

// filter appends to out what the workspace is to get of keys.
func (k *keyboard) filter(out, keys []byte) []byte {
	for _, c := range keys {
		held := k.tilde
		k.tilde = false
		switch {
		case held && c == '.':
			k.quits.Store(true)
			k.quit()
			return out
		case held && c != '~':
			out = append(out, '~', c)
		case !held && c == '~' && !k.midLine:
			k.tilde = true
			continue
		default:
			out = append(out, c)
		}
		k.midLine = c != '\r' && c != '\n'
	}
	return out
}

const (
	// stallAfter is how long keys may stay without an answer before the path
	// is asked, and stallPing how long the path may take to answer.
	stallAfter = 5 * time.Second
	stallPing  = 5 * time.Second
)

// watchStall tells, once per outage, that keys reach nobody. A program that
// just does not echo is none.
func watchStall(ctx context.Context, conn *connect.Conn, bytes *countingConn) {
	tick := time.NewTicker(stallAfter)
	defer tick.Stop()
	told := false
	for in, out := bytes.in.Load(), bytes.out.Load(); ; in, out = bytes.in.Load(), bytes.out.Load() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		switch heard, sent := bytes.in.Load() != in, bytes.out.Load() != out; {
		case heard:
			told = false
		case sent && !told && !answers(ctx, conn):
			told = ctx.Err() == nil
			if told {
				io.WriteString(os.Stderr, "\x1b[2m[no answer; the session goes on when the network does, ~. ends it]\x1b[0m")
			}
		}
	}
}

func answers(ctx context.Context, conn *connect.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, stallPing)
	defer cancel()
	_, err := conn.Ping(ctx)
	return err == nil
}
