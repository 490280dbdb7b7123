// Package pty keeps terminals: programs on a PTY whose screen is held here, so
// that they outlive whoever looks at them. No screen or tmux is needed.
//
// A terminal has an id. Who connects with an id that is known is shown the
// screen as it is (package screen makes the bytes) and then all that the
// program prints; who brings a new id starts a program. Several viewers may
// look at one terminal.
//
// # Wire protocol (port 2 of an agent)
//
// The client sends a uint16, little-endian, and that many bytes of JSON:
//
//	{"ID":uuid,"Height":n,"Width":n,"Command":"","Container":"",
//	 "ContainerUser":"","BackendType":""}
//
// and then JSON objects without any frame around them:
//
//	{"data":"typed text","height":n,"width":n}
//
// each member may be missing; a size counts when both numbers are there. The
// server sends what the terminal shows, as raw bytes, and closes when the
// program has ended. An empty command is the login shell. "MustExist":true in
// the first object, which other servers ignore, refuses to start a program.
//
// # Guarantees
//
// No viewer can hold up the program or another viewer: one that falls behind by
// more than its queue is shown the screen anew. No byte is lost or doubled
// between the screen that a viewer is shown and what follows.
//
// Programs ask their terminal questions (what it is, where the cursor is). Only
// the terminal of the viewer that was last active hears them, so that exactly
// one answer comes back; when there is none, or it is behind, or its
// connection outlives breaks and is in one, the screen answers.
//
// Who may connect, and which environment programs have, is left to whoever
// hands the connections to Terminals.
package pty
