// Package agent is the process inside a workspace: it joins the tailnet node,
// the session with the server and the SSH server, and keeps them going.
//
// It keeps these promises. The node and the SSH server live as long as the
// agent: they are made at the first contact and go on while the server is away
// or restarts. Every state of the lifecycle is reported, in order, however
// often the server was away in between. On shutdown, users' connections end
// before the server is told that the workspace is off.
//
// What a session of a user is, is the duty of agent/sshd; how packets travel,
// of tailnet; what the server does with reports, of server.
package agent
