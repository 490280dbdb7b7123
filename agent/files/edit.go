package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// MaxEditedFiles and MaxEdits bound one Edit: files, and changes of each.
	MaxEditedFiles = 256
	MaxEdits       = 1000
	// MaxEdited is how many bytes a file may have that is edited, before and
	// after: it is held in memory.
	MaxEdited = 8 << 20
)

// FileEdits are changes of one file, made in order, each on what those before it
// left.
type FileEdits struct {
	Path  string `json:"path"`
	Edits []Edit `json:"edits"`
}

// Edit is one change: of the one place where Search is, or of all that there are.
type Edit struct {
	Search     string `json:"search"`
	Replace    string `json:"replace"`
	ReplaceAll bool   `json:"replace_all,omitempty"`
}

// Edited says what became of one file.
type Edited struct {
	Path         string `json:"path"`
	Replacements int    `json:"replacements"`
}

// EditAll changes files, whose paths are absolute. When anything is wrong with any
// of them, a search that matches nothing or more than once included, none is
// changed, unless their directories themselves begin to refuse while the last step
// is made; the error says then which ones are changed.
func EditAll(all []FileEdits) (done []Edited, err error) {
	ready, done, err := prepareAll(all)
	defer func() {
		for _, s := range ready { // those that did not take their place
			err = errors.Join(err, s.drop())
		}
	}()
	if err != nil {
		return nil, err
	}
	for _, s := range ready {
		if err := s.untouched(); err != nil {
			return nil, err
		}
	}
	for i := range done {
		s := ready[0]
		ready = ready[1:]
		if err := s.take(); err != nil {
			return nil, fmt.Errorf("%w; changed before that: %d of %d files", err, i, len(done))
		}
	}
	return done, nil
}

// prepareAll writes the changed contents of files beside them. Those that are ready
// are returned with an error too.
func prepareAll(all []FileEdits) (ready []*staged, done []Edited, err error) {
	if len(all) == 0 || len(all) > MaxEditedFiles {
		return nil, nil, invalidf("%d files: edit 1 to %d at once", len(all), MaxEditedFiles)
	}
	seen := map[string]bool{}
	for _, file := range all {
		s, n, err := prepare(file)
		if err != nil {
			return ready, nil, fmt.Errorf("%s: %w", file.Path, err)
		}
		ready = append(ready, s)
		if seen[s.path] {
			return ready, nil, invalidf("%s is named twice", file.Path)
		}
		seen[s.path] = true
		done = append(done, Edited{file.Path, n})
	}
	return ready, done, nil
}

// prepare writes the changed content of a file beside it.
func prepare(file FileEdits) (*staged, int, error) {
	p, err := findPlace(file.Path)
	if err != nil {
		return nil, 0, err
	}
	text, err := readWhole(file.Path)
	if err != nil {
		return nil, 0, err
	}
	text, n, err := apply(text, file.Edits)
	if err != nil {
		return nil, 0, err
	}
	s, _, err := p.stage(bytes.NewReader(text))
	return s, n, err
}

func readWhole(path string) ([]byte, error) {
	f, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxEdited+1))
	if err == nil && len(text) > MaxEdited {
		err = fmt.Errorf("%w: files can be edited that have at most %d bytes", ErrTooLarge, MaxEdited)
	}
	return text, err
}

// apply makes changes of a text, and counts them.
func apply(text []byte, edits []Edit) (_ []byte, replaced int, err error) {
	if len(edits) == 0 || len(edits) > MaxEdits {
		return nil, 0, invalidf("%d edits: make 1 to %d of a file at once", len(edits), MaxEdits)
	}
	for i, e := range edits {
		n := e.matches(text)
		switch {
		case e.Search == "":
			return nil, 0, invalidf("edit %d searches for nothing", i+1)
		case n == 0:
			return nil, 0, invalidf("edit %d: its search does not match", i+1)
		case n > 1 && !e.ReplaceAll:
			return nil, 0, invalidf("edit %d: its search matches %d times: make it longer, or set replace_all", i+1, n)
		case len(text)+n*(len(e.Replace)-len(e.Search)) > MaxEdited:
			return nil, 0, fmt.Errorf("%w: edit %d makes it more than %d bytes", ErrTooLarge, i+1, MaxEdited)
		}
		text = bytes.ReplaceAll(text, []byte(e.Search), []byte(e.Replace))
		replaced += n
	}
	return text, replaced, nil
}

// matches counts where the search is. Of places that overlap, as "aa" has in
// "aaa", all count unless all are to be replaced: nobody could say which one is
// meant.
func (e Edit) matches(text []byte) (n int) {
	search := []byte(e.Search)
	switch {
	case len(search) == 0:
		return 0
	case e.ReplaceAll:
		return bytes.Count(text, search)
	}
	for {
		i := bytes.Index(text, search)
		if i < 0 {
			return n
		}
		n++
		text = text[i+1:]
	}
}
