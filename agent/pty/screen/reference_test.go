package screen

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// installed is where scripts/test-deps.sh puts the modules of reference/.
const installed = "../../../build/reference/node_modules"

// reference is a process that answers what xterm.js makes of the same bytes.
type reference struct {
	mu  sync.Mutex
	in  io.WriteCloser
	out *bufio.Reader
}

// step is something that happens to a terminal: bytes or, without, a new size.
type step struct {
	Data []byte `json:"data,omitempty"`
	Cols int    `json:"cols,omitempty"`
	Rows int    `json:"rows,omitempty"`
}

func newReference(t testing.TB) *reference {
	t.Helper()
	modules, err := filepath.Abs(installed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "@xterm", "headless")); err != nil {
		t.Fatalf("this test needs xterm.js, which scripts/test-deps.sh (make deps) installs: %v", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this test needs node, which scripts/test-deps.sh (make deps) installs: %v", err)
	}
	cmd := exec.Command(node, "reference/reference.js")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("reference ended with %v", err)
		}
	})
	return &reference{in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

func (r *reference) ask(t testing.TB, request, answer any) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	raw, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.in.Write(append(raw, '\n')); err != nil {
		t.Fatalf("ask the reference: %v", err)
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("hear the reference: %v", err)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		t.Fatal(err)
	}
}

// run returns the state of a terminal of that size after the steps.
func (r *reference) run(t testing.TB, cols, rows int, steps []step) shownState {
	t.Helper()
	var out shownState
	r.ask(t, map[string]any{"cols": cols, "rows": rows, "steps": steps}, &out)
	return out
}

func TestWidthsAreThoseOfTheReference(t *testing.T) {
	var want string
	newReference(t).ask(t, map[string]bool{"widths": true}, &want)
	wrong := 0
	for i, w := range []byte(want) {
		if r := rune(0xa0 + i); bmpWidths().width(r) != int(w-'0') {
			if wrong++; wrong < 20 {
				t.Errorf("width(%U) = %d, want %c", r, bmpWidths().width(r), w)
			}
		}
	}
	if len(want) != 0x110000-0xa0 {
		t.Errorf("the reference knows %d characters, want %d", len(want), 0x110000-0xa0)
	}
}
