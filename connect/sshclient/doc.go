// Package sshclient runs one shell or command on the SSH server of an agent, in
// as few round trips as the protocol permits. It exists because a session over
// a slow relay is made of round trips: a general client takes six for what
// takes two or three here, since each of its steps waits for the answer to the
// one before.
//
//	        client                              server
//	1   ->  version, KEXINIT, key guess
//	1   <-                                      version, KEXINIT, key reply, NEWKEYS
//	2   ->  NEWKEYS, service request,
//	        authentication "none", channel open,
//	        exec
//	2   <-                                      accept, success, confirmation, success, output
//
// The guess is RFC 4253 §7: it holds when both ends prefer the same key
// exchange and host key algorithm, else one more round trip follows. That
// authentication "none" succeeds is the rule of agents: the tailnet is the
// guard, and it has authenticated and encrypted the connection already. For the
// same reason the host key is not checked, and nothing here protects against
// a server that is not the agent.
//
// The exec of flight 2 goes to the channel number that every server gives
// first, a moment after the channel open. A server that was too slow to accept
// the channel ignores it, so it is repeated after the confirmation; RFC 4254
// §6.5 lets only one of them succeed. Requests whose order matters (terminal,
// environment) wait for the confirmation, one round trip more.
//
// The same connection carries others towards us: to ports and Unix sockets on which
// the server listens, asked for in flight 2 before the channel, and to our
// authentication agent and X11 display. They end with the session, each direction
// by itself until then.
//
// Spoken are the key exchanges mlkem768x25519-sha256 and curve25519-sha256 and
// the ciphers AES-GCM; new keys are made when the server asks. Forwarding from
// here, subsystems and every authentication but "none" are left to OpenSSH over
// "coder ssh --stdio".
package sshclient
