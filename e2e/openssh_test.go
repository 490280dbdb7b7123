//go:build linux

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newMachine is a deployment on one machine, as `make demo` makes it. Nothing
// runs beside it: it moves much.
func newMachine(t *testing.T) (*World, *User) {
	t.Helper()
	w := newWorldAlone(t)
	h := w.Host("machine")
	s := w.Serve(h)
	s.Agent(h, "ws")
	return w, s.User(h)
}

func TestOpenSSH(t *testing.T) {
	w, u := newMachine(t)
	t.Run("command", func(t *testing.T) { testCommand(t, w, u) })
	t.Run("terminal", func(t *testing.T) { testTerminal(t, w, u) })
	t.Run("upload", func(t *testing.T) { testUpload(t, u) })
	t.Run("both ways", func(t *testing.T) { testEcho(t, u) })
	t.Run("files", func(t *testing.T) { testFiles(t, w, u) })
}

func testCommand(t *testing.T, w *World, u *User) {
	const command = "sh -c 'echo out; echo err >&2; exit 7'"
	want := Result{Stdout: "out\n", Stderr: "err\n", Code: 7}
	if got := w.Run(u.SSH(within(t, time.Minute), "ws", "--", command)); got != want {
		t.Errorf("ssh ws -- %s = %+v, want %+v", command, got, want)
	}
	if got := u.Run(within(t, time.Minute), "ssh", "ws", "--", command); got != want {
		t.Errorf("coder ssh ws -- %s = %+v, want %+v", command, got, want)
	}
}

// testTerminal types a command into a login shell with a terminal.
func testTerminal(t *testing.T, w *World, u *User) {
	cmd := u.SSH(within(t, time.Minute), "-tt", "ws")
	cmd.Stdin = strings.NewReader("test -t 0 && echo terminal-$((40+2)); exit 3\n")
	got := w.Run(cmd)
	if !strings.Contains(got.Stdout, "terminal-42") || got.Code != 3 {
		t.Errorf("ssh -tt ws, typed a test = %+v, want terminal-42 in it and exit status 3", got)
	}
}

// bulk is how much goes each way, in bytes.
const bulk = 1 << 30

// testUpload is `cat big | ssh ws sha256sum`.
func testUpload(t *testing.T, u *User) {
	sent := sha256.New()
	cmd := u.SSH(within(t, 5*time.Minute), "ws", "sha256sum")
	cmd.Stdin = io.TeeReader(io.LimitReader(noise(t), bulk), sent)
	began := time.Now()
	out, err := cmd.Output()
	rate(t, "upload", began)
	if got := strings.TrimSuffix(string(out), "  -\n"); err != nil || got != sum(sent) {
		t.Errorf("cat big | ssh ws sha256sum = %q, %v; want %s", got, err, sum(sent))
	}
}

// testEcho sends and receives at the same time.
func testEcho(t *testing.T, u *User) {
	sent, came := sha256.New(), sha256.New()
	var errs bytes.Buffer
	cmd := u.SSH(within(t, 5*time.Minute), "ws", "cat")
	cmd.Stdin = io.TeeReader(io.LimitReader(noise(t), bulk), sent)
	cmd.Stdout, cmd.Stderr = came, &errs
	began := time.Now()
	err := cmd.Run()
	rate(t, "both ways", began)
	if err != nil || sum(came) != sum(sent) {
		t.Errorf("cat big | ssh ws cat: %v, %s, sha256 of what came back = %s, want %s", err, errs.String(), sum(came), sum(sent))
	}
}

// noise is a stream without end that does not compress and differs with every
// run.
func noise(t *testing.T) io.Reader {
	t.Helper()
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		t.Fatal(err)
	}
	return mathrand.NewChaCha8(seed)
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

func rate(t *testing.T, what string, began time.Time) {
	t.Helper()
	took := time.Since(began)
	t.Logf("%s: %.1f s, %.2f Gbit/s", what, took.Seconds(), bulk*8/took.Seconds()/1e9)
}

// testFiles moves a tree to the workspace and back with each tool.
func testFiles(t *testing.T, w *World, u *User) {
	remote := w.Dir("remote")
	local := w.Dir("local")
	for name, size := range map[string]int64{"empty": 0, "small": 100, "with space": 5000, "big": 3 << 20} {
		writeNoise(t, filepath.Join(local, name), size)
	}
	ssh := quoted(append([]string{"ssh"}, u.SSHOptions()...))
	for _, tool := range []struct {
		name     string
		up, down []string
		batch    string // of sftp
	}{
		{
			name: "scp",
			up:   append(append([]string{"scp"}, u.SSHOptions()...), "-q", "-r", local, "ws:"+remote+"/scp"),
			down: append(append([]string{"scp"}, u.SSHOptions()...), "-q", "-r", "ws:"+remote+"/scp", w.dir+"/back-scp"),
		},
		{
			name: "rsync",
			up:   []string{"rsync", "-a", "-e", ssh, local + "/", "ws:" + remote + "/rsync/"},
			down: []string{"rsync", "-a", "-e", ssh, "ws:" + remote + "/rsync/", w.dir + "/back-rsync/"},
		},
		{
			name:  "sftp",
			up:    append(append([]string{"sftp"}, u.SSHOptions()...), "-q", "-b", "-", "ws"),
			batch: "mkdir " + remote + "/sftp\nput -R " + local + "/. " + remote + "/sftp\nget -R " + remote + "/sftp " + w.dir + "/back-sftp\n",
		},
	} {
		t.Run(tool.name, func(t *testing.T) {
			for _, args := range [][]string{tool.up, tool.down} {
				if args == nil {
					continue
				}
				cmd := u.OpenSSH(within(t, time.Minute), args[0], args[1:]...)
				if tool.batch != "" {
					cmd.Stdin = strings.NewReader(tool.batch)
				}
				if r := w.Run(cmd); r.Code != 0 {
					t.Fatalf("%q: exit status %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
				}
			}
			sameTree(t, local, filepath.Join(remote, tool.name))
			sameTree(t, local, filepath.Join(w.dir, "back-"+tool.name))
		})
	}
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = "'" + word + "'"
	}
	return strings.Join(out, " ")
}

func writeNoise(t *testing.T, file string, size int64) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, noise(t), size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func sameTree(t *testing.T, want, got string) {
	t.Helper()
	out, err := exec.CommandContext(within(t, time.Minute), "diff", "-r", want, got).CombinedOutput()
	if err != nil {
		t.Errorf("diff -r %s %s: %v\n%s", want, got, err, out)
	}
}
