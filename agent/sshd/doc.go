// Package sshd is the SSH server inside a workspace: it turns a net.Conn into
// shells, commands, SFTP and forwards (ports, sockets, the client's agent and
// X11 display) of the user whom it runs as.
//
// It keeps what OpenSSH's sshd promises its clients: a login shell (argv[0]
// "-bash") on a PTY with the client's terminal modes, commands through
// "$SHELL -c", exact exit-status and exit-signal, stderr apart from stdout,
// half-closed stdin, eow@openssh.com in both directions (so that both ends of
// "yes | head" see a broken pipe), signals to the process group, SIGHUP when
// the client of a terminal goes away. Exit codes of its own are 65 (file
// transfers are blocked), 127 (the shell does not exist) and 229 (the session
// could not be set up). docs/ssh.md lists what is compared with sshd in every
// run of the tests, and where the two differ on purpose.
//
// Processes inherit which signals this process ignores, so whoever embeds the
// server catches SIGHUP (os/signal.Notify): under nohup, shells would otherwise
// not notice that their terminal is gone.
//
// It asks for no proof of who the client is and ignores the user name: whoever
// can reach the listener may do all that the agent's user may do. The tailnet
// (or the mode of a unix socket) is the guard. It knows nothing about networks,
// servers or manifests; what differs between workspaces comes through
// Config.Login, asked anew for each session. So it can live in any process that
// is handed connections.
package sshd
