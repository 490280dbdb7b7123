// Package resume carries one byte stream over connections that come and go.
// Both ends keep what the other has not taken yet, so that after a break the
// stream goes on over the next connection with no byte lost and none doubled:
// what is above it (an SSH session) notices a pause and nothing else.
//
// # Wire
//
// Each connection begins with a greeting of the client, which may be followed
// by frames at once when it begins a stream, and an answer of the server; all
// numbers are big endian.
//
//	client  "berthrs1"  flags u8  service u8  id [16]byte  received u64
//	server  "berthrs1"  status u8                          received u64
//
//	flags   1 = make the stream when it is not known
//	service what a new stream is for; the users of this package know
//	status  0 = attached, 1 = no such stream, 2 = too many streams
//
// received is the number of bytes (and the end, see below) that have arrived:
// the other side sends from there on. The id is random and made by the client;
// a server also binds a stream to the peer that made it.
//
// Frames go both ways, each with a header of 13 bytes:
//
//	kind u8  length u32  taken u64  payload
//
//	data 1   length bytes (at most 64 KiB) that follow those before
//	ack  2   nothing but taken
//	fin  3   no more data this way; counts as one byte in received and taken
//	end  4   the stream is over both ways; nobody keeps anything of it
//
// taken is the number of bytes that the sender's reader has consumed. Nobody
// has more than Window bytes on the way that were not taken, so that a reader
// that is slow bounds memory on both sides and never blocks acknowledgements.
//
// Where connections come from, who may make them and how a dead one is noticed
// is left to the callers. The stream trusts them with its bytes: encryption is
// theirs.
package resume
