package script

import (
	"context"
	"log/slog"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// Script is one of a template's.
type Script struct {
	ID     uuid.UUID // by which its runs are reported
	Source uuid.UUID // by which its lines are
	Name   string    // for people, and for those that wait for it
	Text   string

	OnStart, OnStop bool
	// BlocksLogin says that logins should wait for the end of its run at start.
	BlocksLogin bool
	// Cron is when else it runs: second, minute, hour, day of month, month and,
	// if there is a sixth field, day of week; "" is never.
	Cron string
	// Timeout is how long it may run; 0 is for ever.
	Timeout time.Duration
	// LogPath is the file for its output, in which ~ and $NAME are expanded;
	// relative to Config.LogDir. "" means coder-script-<Source>.log.
	LogPath string
}

// Login is what a script gets from a login.
type Login struct {
	Shell string   // a program; "" means /bin/sh
	Env   []string // its environment; nil means our own
	Dir   string   // a directory that exists
}

// Config configures a Runner. LogDir and DataDir are required.
type Config struct {
	// Login is asked before each run; nil means no environment but our own.
	Login func(context.Context) (Login, error)

	// Start starts a process; nil means exec.Cmd.Start.
	Start func(*exec.Cmd) error

	// LogDir gets the files with what scripts print.
	LogDir string

	// DataDir gets a directory for each script and one for programs that they
	// install, which belongs on the PATH of logins: see Runner.BinDir.
	DataDir string

	// Report is called with each event, in order of its script; it must not
	// block for long. Required.
	Report func(Event)

	// Log gets what an operator should know; nil discards.
	Log *slog.Logger
}

// BinDir is where scripts put programs that logins should find, below
// Config.DataDir.
func BinDir(dataDir string) string { return filepath.Join(dataDir, "coder-script-data", "bin") }

// Phase is how far a workspace is.
type Phase string

// The phases, in the words and the order of the reference (agent §9).
const (
	Created         Phase = "created"
	Starting        Phase = "starting"
	StartTimeout    Phase = "start_timeout"
	StartError      Phase = "start_error"
	Ready           Phase = "ready"
	ShuttingDown    Phase = "shutting_down"
	ShutdownTimeout Phase = "shutdown_timeout"
	ShutdownError   Phase = "shutdown_error"
	Off             Phase = "off"
)

// Stage is why a script ran.
type Stage string

// The stages.
const (
	AtStart Stage = "start"
	AtStop  Stage = "stop"
	ByCron  Stage = "cron"
)

// Status is how a run ended.
type Status string

// The statuses. PipesLeftOpen is a success: a process that the script started
// goes on with its output.
const (
	OK            Status = "ok"
	ExitFailure   Status = "exit_failure"
	TimedOut      Status = "timed_out"
	PipesLeftOpen Status = "pipes_left_open"
)

// ok reports whether the script did what it should.
func (s Status) ok() bool { return s == OK || s == PipesLeftOpen }

// Event is something that happened: exactly one of its pointers is set.
type Event struct {
	Line  *Line  `json:"line,omitempty"`
	Run   *Run   `json:"run,omitempty"`
	Phase *Since `json:"phase,omitempty"`
}

// Line is one line of a script's output, or one about the script.
type Line struct {
	Source uuid.UUID `json:"source"`
	Time   time.Time `json:"time"`
	Error  bool      `json:"error,omitempty"` // from stderr
	Text   string    `json:"text"`            // UTF-8 without the end of the line
}

// Run is one run of a script that has ended.
type Run struct {
	Script   uuid.UUID `json:"script"`
	Name     string    `json:"name"`
	Stage    Stage     `json:"stage"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	ExitCode int       `json:"exit_code"` // 128+n for signal n, 255 when it did not start
	Status   Status    `json:"status"`
}

// Since is a phase and when it began.
type Since struct {
	Phase Phase     `json:"phase"`
	Time  time.Time `json:"time"`
}
