package pty

import (
	"context"
	"log/slog"
	"os/exec"
	"time"

	"github.com/google/uuid"
)

// Config tunes Terminals. The zero value starts /bin/sh in this process's own
// environment.
type Config struct {
	// Login says what a new terminal's program gets; it is asked once per
	// terminal and may block as long as ctx lasts. nil means the zero Login.
	// Its error is shown to the viewer.
	Login func(ctx context.Context) (Login, error)

	// Start starts a program that is ready to be started, for callers that put
	// it somewhere (a scope, a cgroup); nil means cmd.Start.
	Start func(cmd *exec.Cmd) error

	// Keep is how long a terminal without viewers is kept, running or ended;
	// 0 means defaultKeep. It is also how long a viewer may take nothing.
	Keep time.Duration

	// Terminals is the number of terminals at once; 0 means 64. Ended ones make
	// room. Viewers is the number of viewers of one terminal; 0 means 16.
	Terminals, Viewers int

	// Size says which viewer's size a terminal has.
	Size SizePolicy

	// Queue is how many bytes of output a viewer may be behind before it is
	// shown the screen anew; 0 means 256 KiB.
	Queue int

	// AttachTimeout bounds the time from a connection to its first message and
	// the start of a program; 0 means 30s.
	AttachTimeout time.Duration

	// Log gets a line per terminal; nil discards.
	Log *slog.Logger
}

// defaultKeep is how long a terminal waits for somebody to look at it. Other
// servers give 5 minutes, which loses a build over lunch; a day loses nothing
// that is worked on daily, and a forgotten shell costs 4 MiB at most and one of
// 64 places.
const defaultKeep = 24 * time.Hour

// Login is what a terminal's program gets.
type Login struct {
	// Shell is the path of the user's shell; "" means SHELL of Env, else /bin/sh.
	Shell string
	// Env is the whole environment; nil means that of this process. TERM,
	// SSH_TTY and nothing else are set by this package. On duplicates the last
	// one wins.
	Env []string
	// Dir is where the program starts; if it is not a directory, HOME of Env
	// is taken, else the root.
	Dir string
	// Term is the value of TERM; "" means xterm-256color, which is what screens
	// here understand.
	Term string
}

// SizePolicy says which viewer's size a terminal with several viewers has.
type SizePolicy int

const (
	// SizeLastActive is the size of the viewer that last typed, resized or
	// came. Others see a screen of another size than theirs.
	SizeLastActive SizePolicy = iota
	// SizeSmallest is the largest size that fits every viewer.
	SizeSmallest
)

// Info describes a terminal.
type Info struct {
	ID       uuid.UUID `json:"id"`
	Command  string    `json:"command"` // "" is a login shell
	Title    string    `json:"title"`   // as the program set it; not trusted
	Width    int       `json:"width"`
	Height   int       `json:"height"`
	Created  time.Time `json:"created"`
	Viewers  int       `json:"viewers"`
	Printed  int64     `json:"printed"` // bytes the program has printed
	PID      int       `json:"pid"`
	Ended    bool      `json:"ended"`
	ExitCode int       `json:"exit_code"` // once ended; 128+n for signal n
}

// Counters is what Terminals has done since it was made.
type Counters struct {
	Started       uint64 // programs
	Attached      uint64 // viewers
	Refused       uint64 // viewers: limits, containers, unknown ids, failed starts
	Malformed     uint64 // connections closed because of what they sent
	Resynced      uint64 // times a viewer was behind and was shown the screen anew
	Expired       uint64 // terminals ended because nobody looked at them for Keep
	Answered      uint64 // questions of programs that the screen answered
	Typed         uint64 // times that a viewer sent something
	InputDropped  uint64 // answers that a program which does not read did not get
	ActiveViewers int    // now
	Active        int    // terminals now, ended ones not counted
}
