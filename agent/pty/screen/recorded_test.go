package screen

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorded is a session as agent/pty/internal/record writes it.
type recorded struct {
	Name       string
	Cols, Rows int
	Steps      []step
}

func readRecorded(t testing.TB) []recorded {
	t.Helper()
	paths, err := filepath.Glob("testdata/sessions/*.json.gz")
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d recorded sessions, %v; want 100", len(paths), err)
	}
	var all []recorded
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		r := recorded{Name: strings.TrimSuffix(filepath.Base(path), ".json.gz")}
		if err := json.NewDecoder(z).Decode(&r); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, r)
	}
	return all
}

// TestRecordedSessions replays what programs have printed: the screen must be
// what xterm.js makes of it, and what xterm.js makes of a snapshot and the rest,
// wherever the break is.
func TestRecordedSessions(t *testing.T) {
	ref := newReference(t)
	for _, r := range readRecorded(t) {
		t.Run(r.Name, func(t *testing.T) {
			if left := checkSession(t, ref, r.Name, r.Cols, r.Rows, splitSteps(r.Steps), 6); left > 0 {
				t.Errorf("%d breaks of %s could not be compared, want 0", left, r.Name)
			}
		})
	}
}

// splitSteps cuts data where no program would, inside of sequences and
// characters, so that breaks fall there too.
func splitSteps(steps []step) []step {
	var out []step
	for _, st := range steps {
		for n := 1; len(st.Data) > n; n = n*7%997 + 1 {
			out = append(out, step{Data: st.Data[:n]})
			st.Data = st.Data[n:]
		}
		out = append(out, st)
	}
	return out
}
