//go:build linux

package home

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Apply makes a link of each declared path, and brings what the home has there
// to the volume. It blocks until the locks are free, and while it copies.
// Whatever goes wrong is logged; the end of ctx ends it between two files.
func Apply(ctx context.Context, cfg Config) Code {
	return work(ctx, cfg, false)
}

// Fold takes back what took the place of links: files that programs saved by a
// rename, directories that were made anew. Paths that are not there it leaves.
// It is for the end of a container, whose home is thrown away.
func Fold(ctx context.Context, cfg Config) Code {
	return work(ctx, cfg, true)
}

func work(ctx context.Context, cfg Config, takeBack bool) Code {
	r := newReport(cfg)
	if err := cfg.resolve(); err != nil {
		r.fail(Invalid, err)
		return r.code
	}
	all, lines, code := cfg.declarations()
	r.reach(code)
	for _, l := range lines {
		r.say(l)
	}
	if code != Invalid {
		r.each(ctx, cfg, all, takeBack)
	}
	r.summary(len(all))
	return r.code
}

// each works on the paths that are declared.
func (r *report) each(ctx context.Context, cfg Config, all []declaration, takeBack bool) {
	s, ok := begin(ctx, cfg, r)
	if !ok {
		return
	}
	defer s.end()
	s.takeBack = takeBack
	for _, d := range all {
		if err := ctx.Err(); err != nil {
			r.fail(Partial, err)
			return
		}
		s.settle(ctx, d)
	}
	s.tidy(all)
}

// tidy writes down what is declared, and bounds the backups.
func (s *session) tidy(all []declaration) {
	if s.control == nil {
		return
	}
	if err := s.prune(all); err != nil {
		s.report.fail(Partial, fmt.Errorf("prune the backups: %w", err))
	}
	if s.takeBack {
		return
	}
	if err := s.record(all); err != nil {
		s.report.fail(codeOf(err), fmt.Errorf("record what is declared: %w", err))
	}
}

// record writes down what is declared, and what was and is still there.
func (s *session) record(all []declaration) error {
	old, err := s.control.readRecord(s.cfg.Workspace)
	if err != nil {
		s.report.fail(Partial, err)
	}
	next := old.next(all, time.Now().UTC())
	next.Paths = slices.DeleteFunc(next.Paths, func(r recorded) bool {
		e, err := s.onVolumeNow(r.declaration())
		return !r.Dropped.IsZero() && err == nil && e.kind == absent && !s.links.paths[r.Path]
	})
	return s.control.writeRecord(s.cfg.Workspace, next)
}

func (s *session) prune(all []declaration) error {
	for _, d := range all {
		b, err := s.control.backupsOf(d, s.cfg.Workspace)
		if err != nil {
			return err
		}
		err = b.prune()
		b.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// summary ends the log.
func (r *report) summary(paths int) {
	detail := fmt.Sprintf("paths: %d", paths)
	for _, a := range []Action{Linked, Seeded, Kept, Merged, Folded, BackedUp, Skipped, Foreign, Rejected, Failed} {
		if r.count[a] > 0 {
			detail += fmt.Sprintf(", %s: %d", strings.ToLower(string(a)), r.count[a])
		}
	}
	r.log(Line{Level: Info, Action: Summary, Detail: detail})
}
