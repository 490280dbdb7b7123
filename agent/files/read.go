package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"
)

const (
	// MaxRead is how many bytes one Open or ReadLines looks at: sources, logs and
	// pictures are smaller, and what is not can be read in parts.
	MaxRead = 32 << 20
	// MaxLines and MaxLineBytes bound what ReadLines returns: lines, and the bytes
	// of all of them.
	MaxLines     = 5000
	MaxLineBytes = 512 << 10
)

// Part is an open part of a file. The caller closes it.
type Part struct {
	io.Reader
	file *os.File
	// Size is that of the whole file, in bytes. Files of /proc say 0.
	Size int64
}

// Close closes the file.
func (p *Part) Close() error { return p.file.Close() }

// Open opens limit bytes of the regular file at an absolute path from offset on. A
// limit of 0 means the rest of the file, of which there may be MaxRead bytes.
func Open(path string, offset, limit int64) (*Part, error) {
	if offset < 0 || limit < 0 {
		return nil, invalid("offset and limit are not negative")
	}
	if limit > MaxRead {
		return nil, fmt.Errorf("%w: at most %d bytes can be read at once", ErrTooLarge, MaxRead)
	}
	f, st, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	if limit == 0 && st.Size()-offset > MaxRead {
		return nil, errors.Join(fmt.Errorf("%w: %s has %d bytes: read it in parts of at most %d", ErrTooLarge, path, st.Size(), MaxRead), f.Close())
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if limit == 0 {
		limit = MaxRead
	}
	return &Part{Reader: io.LimitReader(f, limit), file: f, Size: st.Size()}, nil
}

// openRegular opens a file for reading. It does not block on what is none.
func openRegular(path string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = invalidf("%s is no regular file", path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, st, nil
}

// Lines is a range of lines of a text.
type Lines struct {
	// First is the number of the first line, from 1 on; Count is how many there
	// are here and Total how many in the file.
	First int `json:"first_line"`
	Count int `json:"line_count"`
	Total int `json:"total_lines"`
	// Content is the lines as they are in the file, ends included.
	Content string `json:"content"`
	// Size is that of the file, in bytes.
	Size int64 `json:"size_bytes"`
}

// ReadLines returns count lines of the text at an absolute path, the first of which
// has the number first. 0 means from the first line on, and as many as there may be;
// so many are returned if there are more. Past the end there are no lines, which is
// no error.
func ReadLines(path string, first, count int) (Lines, error) {
	switch {
	case first < 0 || count < 0:
		return Lines{}, invalid("numbers of lines are not negative")
	case count > MaxLines:
		return Lines{}, fmt.Errorf("%w: at most %d lines can be read at once", ErrTooLarge, MaxLines)
	}
	f, st, err := openRegular(path)
	if err != nil {
		return Lines{}, err
	}
	defer f.Close()
	if st.Size() > MaxRead {
		return Lines{}, fmt.Errorf("%w: %s has %d bytes: lines can be read of files with at most %d", ErrTooLarge, path, st.Size(), MaxRead)
	}
	if count == 0 {
		count = MaxLines
	}
	l := Lines{First: max(first, 1), Size: st.Size()}
	err = l.read(io.LimitReader(f, MaxRead), count)
	return l, err
}

// read goes through all of a text and keeps the lines that are asked for.
func (l *Lines) read(r io.Reader, count int) error {
	var kept strings.Builder
	in := bufio.NewReaderSize(r, 64<<10)
	for begins := true; ; {
		piece, err := in.ReadSlice('\n')
		if begins && len(piece) > 0 {
			l.Total++
		}
		if wanted := l.Total >= l.First && l.Total < l.First+count; wanted && len(piece) > 0 {
			kept.Write(piece)
			l.Count = l.Total - l.First + 1
		}
		if kept.Len() > MaxLineBytes {
			return fmt.Errorf("%w: the lines have more than %d bytes: ask for fewer, or for bytes", ErrTooLarge, MaxLineBytes)
		}
		begins = err == nil
		switch {
		case errors.Is(err, io.EOF):
			l.Content = kept.String()
			return checkText([]byte(l.Content))
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// checkText refuses what JSON could not carry unchanged.
func checkText(b []byte) error {
	if bytes.IndexByte(b, 0) >= 0 || !utf8.Valid(b) {
		return invalid("it is no UTF-8 text: read its bytes")
	}
	return nil
}
