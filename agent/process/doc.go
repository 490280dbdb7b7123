// Package process runs commands that nobody waits for at the other end of a
// connection: they are started, go on, and are asked about later.
//
// Each command is the leader of a session and process group of its own, has no
// input, and prints into one bounded memory: the first 32 KiB and the last 32 KiB
// are kept, and what is left out between them is counted. A command that has ended
// is remembered with its output until 64 others have ended after it.
//
//	Start ──► running ──► ended, output open ──► over
//	             │  leader ends     │  output ends
//	             └──────────────────┴── Signal reaches the group
//
// What a command leaves behind may hold its output open: then the command has its
// exit status, and its output still grows. Its leader is not reaped before the
// output ends, so that a signal never reaches another group with the same id.
package process
