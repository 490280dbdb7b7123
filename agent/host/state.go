package host

import (
	"time"
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

	// Connections of SSH, Processes started by them, Streams that can be
	// resumed (of those, Waiting are without a client now), Terminals and their
	// Viewers.
	Connections int `json:"connections"`
	Processes   int `json:"processes"`
	Streams     int `json:"streams"`
	Waiting     int `json:"waiting"`
	Terminals   int `json:"terminals"`
	Viewers     int `json:"viewers"`

	// Sessions counts those of SSH that have a program, by their type.
	Sessions map[string]int `json:"sessions"`
}

// Idle reports whether nothing would be lost if the host ended.
func (s State) Idle() bool {
	return s.Connections == 0 && s.Processes == 0 && s.Streams == 0 && s.Terminals == 0
}
