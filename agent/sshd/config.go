//go:build linux

package sshd

import (
	"context"
	"log/slog"
	"time"
)

// Config tunes a Server. The zero value serves anybody with the defaults.
type Config struct {
	// Login returns where and with what a session starts; nil means in the
	// home directory, with nothing added. It is called once per session and
	// holds up that session only; ctx ends with the connection.
	Login func(ctx context.Context) Login

	// Environ is the environment that sessions inherit; nil means the one of
	// this process at the time the session starts.
	Environ []string

	// Shell overrides the user's shell; "" means the one of the user database,
	// or /bin/sh when that has none.
	Shell string

	// Limits bounds what clients may take.
	Limits Limits

	// MaxTimeout is how long a connection may stay silent: after each third of
	// it the client is asked for a sign of life, and after all of it without
	// one the connection is closed. 0 means 72h. Less than 3s is not enough to
	// ask three times: the connection is closed then however busy it is.
	MaxTimeout time.Duration

	// BlockFileTransfer refuses the sftp subsystem, and commands whose program
	// is called nc, rsync, scp or sftp. It keeps honest people from a mistake
	// and nobody else from anything: "cat >file" still works.
	BlockFileTransfer bool

	// BlockLocalForwarding refuses connections that clients want made in the
	// workspace (ssh -L, -D, -W), BlockRemoteForwarding listeners in it (-R).
	BlockLocalForwarding, BlockRemoteForwarding bool

	// Report gets every Event, in the order of one connection; nil ignores
	// them. It is called from goroutines that serve clients and must not
	// block.
	Report func(Event)

	// CloseGrace is how long Close lets processes end after the first signal,
	// before it kills them; 0 means 3s, which leaves room within the 5s that
	// the agent has for its shutdown.
	CloseGrace time.Duration

	// Log gets events of connections, never their contents; nil discards.
	Log *slog.Logger
}

// Login is what the agent tells one session.
type Login struct {
	// Env holds KEY=VALUE entries that override what the session inherits
	// and what the client asked for. A later entry overrides an earlier one.
	Env []string

	// Dir is the working directory; "" or one that does not exist means the
	// home directory.
	Dir string

	// Banners are announcements shown on terminals before a login shell, even
	// if ~/.hushlogin exists. Empty ones are left out.
	Banners []string

	// MOTD names a file shown on terminals before a login shell, after the
	// banners, unless ~/.hushlogin exists; "" means none. What sshd shows on
	// this system is SystemMOTD.
	MOTD string
}

// SystemMOTD is the message of the day of the machine.
const SystemMOTD = "/etc/motd"
