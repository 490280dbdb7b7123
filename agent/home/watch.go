//go:build linux

package home

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

const (
	// quiet is how long a file that took the place of a link must be left
	// alone before it is taken back, and impatience how long that is waited
	// for: less than the second within which it is to be on the volume.
	quiet      = 150 * time.Millisecond
	impatience = 500 * time.Millisecond

	// rescan is the time between two looks at everything: manifests, and
	// directories that were made anew.
	rescan = 10 * time.Second
)

// Watch takes back files that programs save by a rename over the link, within a
// second, for as long as ctx lasts; then it does what Fold does and returns its
// code. A file that somebody has open for writing is waited for.
func Watch(ctx context.Context, cfg Config) Code {
	r := newReport(cfg)
	if err := cfg.resolve(); err != nil {
		r.fail(Invalid, err)
		return r.code
	}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		r.fail(Partial, err)
		return r.code
	}
	w := &watcher{cfg: cfg, log: r.log, events: events, due: map[string]due{}}
	code := w.run(ctx)
	if err := events.Close(); err != nil {
		r.fail(Partial, err)
	}
	if code != OK {
		return code
	}
	return Fold(context.WithoutCancel(ctx), cfg)
}

// watcher is one run of Watch.
type watcher struct {
	cfg    Config
	log    func(Line)
	events *fsnotify.Watcher
	files  map[string]declaration // by their paths in the file system
	due    map[string]due         // of files
}

// due is when a file is looked at.
type due struct{ at, latest time.Time }

// run returns OK at the end of ctx.
func (w *watcher) run(ctx context.Context) Code {
	if code := w.scan(); code == Invalid {
		return code
	}
	look := time.NewTimer(0)
	defer look.Stop()
	again := time.NewTicker(rescan)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return OK
		case e := <-w.events.Events:
			if _, ours := w.files[e.Name]; ours {
				w.touch(e.Name, time.Now())
			}
		case err := <-w.events.Errors: // events were lost
			w.log(Line{Level: Warn, Action: Failed, Detail: err.Error()})
			w.scan()
		case <-again.C:
			w.scan()
		case now := <-look.C:
			w.look(ctx, now)
		}
		look.Reset(w.next(time.Now()))
	}
}

// scan reads what is declared and watches the directories of it. All of it is
// due at once.
func (w *watcher) scan() Code {
	all, lines, code := w.cfg.declarations()
	if w.files == nil {
		for _, l := range lines {
			w.log(l)
		}
	}
	if code == Invalid && w.files != nil {
		return OK // it was good before; the manifest is just being written
	}
	w.files = map[string]declaration{}
	for _, d := range all {
		name := filepath.Join(w.cfg.Home, d.path)
		if d.dir {
			continue
		}
		w.files[name] = d
		_ = w.events.Add(filepath.Dir(name)) // where there is no directory there is no file
		w.touch(name, time.Now())
	}
	return code
}

// touch notes that something happened to a file.
func (w *watcher) touch(name string, now time.Time) {
	d, pending := w.due[name]
	if !pending {
		d.latest = now.Add(impatience)
	}
	d.at = now.Add(quiet)
	if d.at.After(d.latest) {
		d.at = d.latest
	}
	w.due[name] = d
}

// next is how long nothing is due.
func (w *watcher) next(now time.Time) time.Duration {
	wait := rescan
	for _, d := range w.due {
		wait = min(wait, max(0, d.at.Sub(now)))
	}
	return wait
}

// look takes back what is due.
func (w *watcher) look(ctx context.Context, now time.Time) {
	var files []declaration
	for name, d := range w.due {
		if d.at.After(now) {
			continue
		}
		delete(w.due, name)
		switch replaced, busy := w.state(name); {
		case busy:
			w.touch(name, now)
		case replaced:
			files = append(files, w.files[name])
		}
	}
	if len(files) == 0 {
		return
	}
	r := newReport(w.cfg)
	s, ok := begin(ctx, w.cfg, r)
	if !ok {
		return
	}
	defer s.end()
	s.takeBack = true
	for _, d := range files {
		if s.links.paths[d.path] { // else it was never linked, and Apply says why
			s.settle(ctx, d)
		}
	}
	if s.control != nil {
		if err := s.prune(files); err != nil {
			r.fail(Partial, fmt.Errorf("prune the backups: %w", err))
		}
	}
}

// state says whether a file took the place of the link, and whether somebody
// has it open for writing: then it is not complete. That is known by the lease
// which such a file does not give.
func (w *watcher) state(name string) (replaced, busy bool) {
	in, err := openRoot(filepath.Dir(name), nil)
	if err != nil {
		return false, false
	}
	defer in.close()
	f, err := node{in, filepath.Base(name)}.openFile()
	if err != nil { // the link, or nothing
		return false, false
	}
	defer f.Close()
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	return true, errors.Is(err, unix.EAGAIN) // closing it gives the lease back
}
