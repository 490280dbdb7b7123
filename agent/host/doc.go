// Package host keeps a workspace's sessions in a process of their own, apart
// from the part of the agent that talks to the network. That part may crash, be
// restarted or be replaced by a newer binary at any time; the host, which holds
// the SSH server, the terminals and every process of a user, stays, and the
// next network half finds it again.
//
//	network half                             host
//	────────────                             ────
//	tailnet port 1, 22 ──── connect/ssh ───► SSH server
//	tailnet port 5     ──── connect/resume ► streams that outlive their
//	                                         connections, then the SSH server
//	tailnet port 2     ──── connect/terminal terminals
//	tailnet port 4     ──── /api/v0/... ───► files, commands that nobody waits for
//	manifest           ──── PUT setup ─────► environment, directory, host key
//	server             ◄─── GET events ───── who came, what ended
//
// The two speak HTTP on one abstract Unix socket: it has no file that could be
// left behind, lost or replaced, and one name can be bound once, so that there
// is never more than one host per agent. Both ends check by SO_PEERCRED that
// the other has their own user id (or is root). Connections of users are
// upgraded requests that carry bytes and nothing else.
//
// A host ends when it is told to, by SIGTERM, or when it has had neither a
// network half nor anything to keep for Config.Grace. It does not end while it
// keeps something.
package host
