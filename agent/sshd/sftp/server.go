//go:build linux

package sftp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// Config tunes a session. The zero value serves from the root directory.
type Config struct {
	// Dir is the absolute directory that relative names start from; ""
	// means the root.
	Dir string

	// Home is what "~" stands for in expand-path@openssh.com; "" means Dir.
	Home string

	// Handles is the number of files and directories that may be open at
	// once; 0 means 1024. Clients learn it through limits@openssh.com.
	Handles int
}

// session is one client. Its goroutine is the one that called Serve.
type session struct {
	cfg     Config
	out     io.Writer
	answer  builder
	handles map[string]*handle
	opened  uint64 // ever, names handles
	names   names
}

// Serve answers requests from rw until the client ends its side, which is no
// error, or sends what is no request. It closes every file it opened but not
// rw.
func Serve(rw io.ReadWriter, cfg Config) error {
	if cfg.Dir == "" {
		cfg.Dir = "/"
	}
	if cfg.Home == "" {
		cfg.Home = cfg.Dir
	}
	if cfg.Handles == 0 {
		cfg.Handles = 1024
	}
	s := &session{cfg: cfg, out: rw, handles: map[string]*handle{}}
	defer s.closeAll()
	in := bufio.NewReaderSize(rw, 64<<10)
	var buf []byte
	for {
		packet, err := readPacket(in, &buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.serve(packet); err != nil {
			return err
		}
	}
}

// readPacket returns the next packet without its length, in the memory of buf,
// which it lets grow to the biggest packet seen.
func readPacket(in *bufio.Reader, buf *[]byte) ([]byte, error) {
	head, err := in.Peek(4)
	if err != nil {
		if len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head))
	_, _ = in.Discard(4)
	if size < 1 || size > maxPacket {
		return nil, fmt.Errorf("read packet of %d bytes: %w", size, errMalformed)
	}
	if cap(*buf) < size {
		*buf = make([]byte, size)
	}
	packet := (*buf)[:size]
	if _, err := io.ReadFull(in, packet); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return packet, nil
}

// serve answers one packet. Errors of requests are sent; those it returns are
// the end.
func (s *session) serve(packet []byte) error {
	r := &reader{b: packet[1:]}
	if packet[0] == typeInit {
		return s.greet(r)
	}
	id := r.uint32()
	if r.err != nil {
		return r.err
	}
	err := s.handle(packet[0], id, r)
	if r.err != nil {
		return fmt.Errorf("request of type %d: %w", packet[0], r.err)
	}
	if !errors.Is(err, errAnswered) {
		s.status(id, err)
	}
	_, err = s.out.Write(s.answer.finish())
	return err
}

// greet tells our version and extensions; the client's version does not
// matter, since 3 is what all of them speak.
func (s *session) greet(r *reader) error {
	r.uint32()
	if r.err != nil {
		return r.err
	}
	s.answer.start(typeVersion, 3)
	for _, e := range extensions {
		s.answer.string(e.name)
		s.answer.string(e.version)
	}
	_, err := s.out.Write(s.answer.finish())
	return err
}

// errAnswered says that a handler has made its answer itself; everything else
// that it returns becomes a status.
var errAnswered = errors.New("answered")

func (s *session) status(id uint32, err error) {
	code, text := statusOf(err)
	s.answer.start(typeStatus, id)
	s.answer.uint32(code)
	s.answer.string(text)
	s.answer.string("en")
}

func (s *session) handle(kind byte, id uint32, r *reader) error {
	switch kind {
	case typeOpen:
		return s.open(id, r)
	case typeClose:
		return s.close(r)
	case typeRead:
		return s.read(id, r)
	case typeWrite:
		return s.write(r)
	case typeStat, typeLstat:
		return s.stat(id, r, kind == typeStat)
	case typeFstat:
		return s.fstat(id, r)
	case typeSetstat:
		return s.setstat(r, follow)
	case typeFsetstat:
		return s.fsetstat(r)
	case typeOpendir:
		return s.opendir(id, r)
	case typeReaddir:
		return s.readdir(id, r)
	case typeMkdir:
		return s.mkdir(r)
	case typeRmdir:
		return s.onPath(r, syscall.Rmdir)
	case typeRemove:
		return s.onPath(r, syscall.Unlink)
	case typeRename:
		return s.onPaths(r, renameNew)
	case typeSymlink:
		return s.symlink(r)
	case typeReadlink:
		return s.readlink(id, r)
	case typeRealpath:
		return s.realpath(id, r)
	case typeExtended:
		return s.extended(id, r)
	default:
		return errUnsupported
	}
}

// path reads a file name and makes it absolute. It does not clean it: "a/.."
// is not "." when a is a symbolic link.
func (s *session) path(r *reader) (string, error) { return s.absolute(r.string()) }

func (s *session) absolute(name string) (string, error) {
	switch {
	case strings.IndexByte(name, 0) >= 0:
		return "", errUnsafe
	case name == "":
		return s.cfg.Dir, nil
	case name[0] == '/':
		return name, nil
	default:
		return s.cfg.Dir + "/" + name, nil
	}
}

// onPath does what a request with one file name asks for.
func (s *session) onPath(r *reader, do func(string) error) error {
	path, err := s.path(r)
	if err != nil || r.err != nil {
		return err
	}
	return do(path)
}

// onPaths does what a request with two file names asks for.
func (s *session) onPaths(r *reader, do func(from, to string) error) error {
	from, err := s.path(r)
	if err != nil {
		return err
	}
	return s.onPath(r, func(to string) error { return do(from, to) })
}
