// Package sftp serves files over one SSH channel: version 3 of the protocol
// (draft-ietf-secsh-filexfer-02) with the extensions of OpenSSH's sftp-server
// (its PROTOCOL file, section 4), so that sftp, scp and sshfs find what they
// find there: the same answers, error codes and listings.
//
// A packet is a uint32 length, a type byte and, except for the first, a uint32
// id that its answer repeats. Numbers are big endian, a string is a uint32
// length and that many bytes. Packets are answered one at a time and in order,
// as sftp-server does, so a client may send requests ahead without waiting:
// what it sees is what it would have seen one by one.
//
// It acts as the user whom the process runs as and restricts nothing; it leaves
// to its caller who may have a channel at all. github.com/pkg/sftp is not used
// for this side: it takes extended requests from a closed list, keeps the files
// behind its handles to itself (so fsync, copy-data and limits cannot be added),
// makes the targets of symbolic links absolute and resolves none in realpath.
package sftp
