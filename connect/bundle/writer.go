package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// MaxFile is how many bytes of a file are kept, its last ones: logs of days.
const MaxFile = 4 << 20

// Writer writes one bundle. Its methods may not be called concurrently.
type Writer struct {
	secrets *Redactor
	path    string
	file    *os.File
	zip     *zip.Writer
}

// Create begins a bundle that Close gives the name path. It is readable for
// this user alone. The caller calls Close or Abandon.
func Create(path string, secrets *Redactor) (*Writer, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	return &Writer{secrets: secrets, path: path, file: f, zip: zip.NewWriter(f)}, nil
}

// Text adds a file, redacted; of one that is larger than MaxFile the end.
func (w *Writer) Text(name string, text []byte) error {
	whole := len(text)
	// What is masked may begin before the end that is kept.
	text = tail(w.secrets.Text(tail(text, 2*MaxFile)), MaxFile)
	if whole > MaxFile {
		text = append([]byte("[the beginning is left out]\n"), text...)
	}
	return w.add(name, text)
}

// tail is the end of a text, from the beginning of a line on.
func tail(text []byte, most int) []byte {
	if len(text) <= most {
		return text
	}
	text = text[len(text)-most:]
	return text[bytes.IndexByte(text, '\n')+1:]
}

// JSON adds v as a file, redacted. A value of more than MaxFile bytes is an
// error: half of it would be none.
func (w *Writer) JSON(name string, v any) error {
	raw, err := json.Marshal(v)
	if err == nil {
		raw, err = w.secrets.JSON(raw)
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	if len(raw) > MaxFile {
		return fmt.Errorf("add %s: it has %d bytes, more than %d", name, len(raw), MaxFile)
	}
	return w.add(name, raw)
}

func (w *Writer) add(name string, content []byte) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Now()}
	header.SetMode(0o600)
	to, err := w.zip.CreateHeader(header)
	if err == nil {
		_, err = to.Write(content)
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	return nil
}

// Close completes the bundle and gives it its name. After a nil error it is on
// the disk; after another there is nothing.
func (w *Writer) Close() error {
	err := errors.Join(w.zip.Close(), w.file.Sync(), w.file.Close())
	if err == nil {
		err = os.Rename(w.file.Name(), w.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(w.file.Name()))
	}
	return nil
}

// Abandon removes what was written.
func (w *Writer) Abandon() error { return errors.Join(w.file.Close(), os.Remove(w.file.Name())) }
