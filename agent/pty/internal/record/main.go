//go:build linux

// Record makes the recorded sessions that agent/pty/screen is tested with: it
// runs programs in a terminal, types into them and writes down what they print,
// piece by piece, and the sizes of the terminal.
//
//	go run ./agent/pty/internal/record agent/pty/screen/testdata/sessions [name...]
//
// Sessions whose program is not installed are named and left out. A recording is
// gzipped JSON: {"cols":80,"rows":24,"steps":[{"data":"base64"},{"cols":100,"rows":30}]}.
package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/creack/pty"

	"github.com/berthdev/berth/agent/pty/screen"
)

// recording is what is written.
type recording struct {
	Cols  int    `json:"cols"`
	Rows  int    `json:"rows"`
	Steps []step `json:"steps"`
}

type step struct {
	Data []byte `json:"data,omitempty"`
	Cols int    `json:"cols,omitempty"`
	Rows int    `json:"rows,omitempty"`
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: record directory [name...]")
		os.Exit(2)
	}
	if err := recordAll(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func recordAll(dir string, names []string) error {
	home, err := os.MkdirTemp("", "record")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	if err := prepareHome(home); err != nil {
		return err
	}
	for _, s := range sessions() {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		if _, err := exec.LookPath(s.program); err != nil {
			fmt.Println("not recorded, there is no", s.program+":", s.name)
			continue
		}
		rec, err := record(s, home)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := write(filepath.Join(dir, s.name+".json.gz"), rec); err != nil {
			return err
		}
		fmt.Println(s.name, len(rec.Steps), "steps")
	}
	return nil
}

func write(path string, rec recording) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	z, _ := gzip.NewWriterLevel(f, gzip.BestCompression)
	return errors.Join(json.NewEncoder(z).Encode(rec), z.Close(), f.Close())
}

// quiet is how long nothing is printed when a program waits for a key, and
// most how long that is waited for, as some print for ever.
const quiet, most = 200 * time.Millisecond, 1200 * time.Millisecond

// firstOutput is how long a program may take to print anything.
const firstOutput = 5 * time.Second

// maxRecorded ends a session that prints too much for the repository.
const maxRecorded = 120 << 10

// strange begins each session: it has a machine of its own, of which nothing of
// the one that it is recorded on can be seen.
const strange = `mount -t tmpfs none /home && mkdir /home/user && cp -a "$FILES/." /home/user && cd /home/user &&
mount -t tmpfs none /tmp && hostname ws; unset FILES; `

// record runs one session.
func record(s session, home string) (recording, error) {
	rec := recording{Cols: s.cols, Rows: s.rows}
	cmd := exec.Command("unshare", "-rpfum", "--mount-proc", "sh", "-c", strange+s.command)
	cmd.Dir = home
	cmd.Env = []string{
		"FILES=" + home, "HOME=/home/user", "PATH=" + os.Getenv("PATH") + ":/usr/sbin", "TERM=xterm-256color", "LANG=C.UTF-8", "LC_ALL=C.UTF-8",
		"COLORTERM=truecolor", "SHELL=/bin/bash", "USER=user", "PS1=\\[\\e[1;32m\\]user@ws\\[\\e[0m\\]:\\w\\$ ", "PAGER=less", "LESS=-R", "TMUX_TMPDIR=/home/user",
	}
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(s.cols), Rows: uint16(s.rows)})
	if err != nil {
		return rec, err
	}
	r := recorder{tty: tty, rec: &rec, state: screen.New(s.cols, s.rows), pieces: make(chan []byte, 64)}
	go r.read()
	select {
	case piece := <-r.pieces:
		r.take(piece)
	case <-time.After(firstOutput):
	}
	r.settle()
	for _, in := range s.input {
		if r.size > maxRecorded || r.ended {
			break
		}
		if err := r.do(in); err != nil {
			break // it has ended
		}
		r.settle()
	}
	_ = cmd.Process.Kill()
	_ = tty.Close()
	_ = cmd.Wait()
	return rec, nil
}

type recorder struct {
	tty    *os.File
	rec    *recording
	state  *screen.Screen // answers what the program asks its terminal
	pieces chan []byte
	size   int
	ended  bool
}

func (r *recorder) read() {
	defer close(r.pieces)
	for {
		buf := make([]byte, 4096)
		n, err := r.tty.Read(buf)
		if n > 0 {
			r.pieces <- buf[:n]
		}
		if err != nil {
			return
		}
	}
}

// settle records until the program waits.
func (r *recorder) settle() {
	deadline := time.After(most)
	for !r.ended && r.size <= maxRecorded {
		select {
		case piece, ok := <-r.pieces:
			if !ok {
				r.ended = true
				return
			}
			r.take(piece)
		case <-time.After(quiet):
			return
		case <-deadline:
			return
		}
	}
}

func (r *recorder) take(piece []byte) {
	r.size += len(piece)
	r.rec.Steps = append(r.rec.Steps, step{Data: piece})
	for _, span := range r.state.Feed(piece) {
		if span.Query && len(span.Reply) > 0 {
			_, _ = r.tty.Write(span.Reply)
		}
	}
}

// do types in, or resizes the terminal if it is "size:COLSxROWS".
func (r *recorder) do(in string) error {
	size, ok := strings.CutPrefix(in, "size:")
	if !ok {
		_, err := r.tty.WriteString(in)
		return err
	}
	var cols, rows int
	if _, err := fmt.Sscanf(size, "%dx%d", &cols, &rows); err != nil {
		return err
	}
	r.rec.Steps = append(r.rec.Steps, step{Cols: cols, Rows: rows})
	r.state.Resize(cols, rows)
	return pty.Setsize(r.tty, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)})
}
