package host

import (
	"time"

	"github.com/berthdev/berth/agent/script"
)

// Kinds of connections that a host takes.
const (
	KindSSH      = "ssh"
	KindResume   = "resume"
	KindTerminal = "terminal"
)

// TypeTerminal is the type of a session, in State and in events, that is a
// viewer of a terminal.
const TypeTerminal = "reconnecting_pty"

// Setup is what the manifest says about sessions. It may be given again; what
// runs goes on as it is.
type Setup struct {
	// Workspace is the workspace's id and Agent the agent's name: the host key
	// derives from them. The first ones stay.
	Workspace string `json:"workspace"`
	Agent     string `json:"agent"`

	// Options are the administrator's. The first ones stay.
	Options Options `json:"options"`

	// Scripts are the template's. Those of the start run once in the life of a
	// workspace, at the first setup that has no Phase.
	Scripts []script.Script `json:"scripts,omitempty"`
	// Phase is that of the host in whose place this one was started, if any.
	Phase script.Since `json:"phase"`

	// Env, Dir, Banners and MOTD are those of sshd.Login.
	Env     []string `json:"env"`
	Dir     string   `json:"dir"`
	Banners []string `json:"banners"`
	MOTD    string   `json:"motd"`
}

// Options tunes a host; the zero value has the defaults of packages sshd and
// pty.
type Options struct {
	// Connections of SSH at once, Sessions on each, and how long a Handshake
	// may take.
	Connections int           `json:"connections,omitempty"`
	Sessions    int           `json:"sessions,omitempty"`
	Handshake   time.Duration `json:"handshake,omitempty"`

	// MaxTimeout is how long a client of SSH may be silent.
	MaxTimeout time.Duration `json:"max_timeout,omitempty"`

	// BlockFileTransfer, BlockLocalForwarding and BlockRemoteForwarding refuse
	// what they say, as far as that can be.
	BlockFileTransfer     bool `json:"block_file_transfer,omitempty"`
	BlockLocalForwarding  bool `json:"block_local_forwarding,omitempty"`
	BlockRemoteForwarding bool `json:"block_remote_forwarding,omitempty"`

	// DataDir is where scripts may keep files and programs, which PATH leads to:
	// nobody else may write there. LogDir is where their output goes. "" means
	// the directory of temporary files.
	DataDir string `json:"data_dir,omitempty"`
	LogDir  string `json:"log_dir,omitempty"`
	// StopTimeout is how long the scripts of the stop may run, all of them; 0
	// means 45 s, in which a service manager does not lose patience.
	StopTimeout time.Duration `json:"stop_timeout,omitempty"`

	// TerminalKeep is how long a terminal waits for a viewer.
	TerminalKeep time.Duration `json:"terminal_keep,omitempty"`
	// SmallestViewer gives a terminal the size that fits every viewer; else it
	// has that of the one who typed last.
	SmallestViewer bool `json:"smallest_viewer,omitempty"`
}

// State is what a host keeps now.
type State struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`

	// Connections of SSH, Processes started by them or by the API, Streams that can be
	// resumed (of those, Waiting are without a client now), Terminals and their
	// Viewers.
	Connections int `json:"connections"`
	Processes   int `json:"processes"`
	Streams     int `json:"streams"`
	Waiting     int `json:"waiting"`
	Terminals   int `json:"terminals"`
	Viewers     int `json:"viewers"`

	// Untold is the number of events of scripts that no network half has passed
	// on.
	Untold int `json:"untold"`
	// Known is the last phase that a network half has passed on; nil is none.
	Known *script.Since `json:"known,omitempty"`
	// Input counts what came into sessions that are no editor's, and what viewers
	// of terminals typed.
	Input uint64 `json:"input"`
	// EditorBytes counts what came into sessions of editors and forwarded
	// connections, which is never nothing.
	EditorBytes uint64 `json:"editor_bytes"`

	// Phase is how far the workspace is, Running which scripts run or wait to
	// run, and Scripts how many of those or of what they started have their
	// output open.
	Phase   script.Since     `json:"phase"`
	Running []script.Running `json:"running,omitempty"`
	Scripts int              `json:"scripts"`

	// Sessions counts those of SSH that have a program, by their type.
	Sessions map[string]int `json:"sessions"`
}

// Idle reports whether nothing would be lost if the host ended.
func (s State) Idle() bool {
	return s.Connections == 0 && s.Processes == 0 && s.Streams == 0 && s.Terminals == 0 && s.Scripts == 0 && len(s.Running) == 0
}
