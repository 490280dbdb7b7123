//go:build linux

package home

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// What a process of the test binary is for; without a role it is the one that
// was started.
const (
	roleVariable = "HOME_TEST_ROLE"
	roleTests    = "tests" // in a mount namespace of its own, so that mounts go with it
	roleWork     = "work"  // one Apply; see job
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case roleTests:
		goleak.VerifyTestMain(m)
	case roleWork:
		os.Exit(int(doJob()))
	default:
		os.Exit(inNamespace())
	}
}

// inNamespace runs the tests where they may mount, as any user.
func inNamespace() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"="+roleTests)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "these tests need a mount namespace:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// lab is a home, a volume and manifests.
type lab struct {
	t     *testing.T
	cfg   Config
	lines []Line
}

// newLab mounts a volume; options are those of tmpfs.
func newLab(t *testing.T, options string) *lab {
	t.Helper()
	l := newBareLab(t)
	mount(t, "tmpfs", l.cfg.Volume, "tmpfs", 0, options)
	return l
}

// newBareLab has a directory where the volume is to be mounted.
func newBareLab(t *testing.T) *lab {
	t.Helper()
	top := t.TempDir()
	l := &lab{t: t, cfg: Config{
		Home: filepath.Join(top, "home"), Volume: filepath.Join(top, "volume"), Manifests: filepath.Join(top, "manifests"),
		Workspace: "ws-1", LockWait: patience,
	}}
	l.cfg.Log = func(line Line) { l.lines = append(l.lines, line) }
	for _, dir := range []string{l.cfg.Home, l.cfg.Volume, l.cfg.Manifests} {
		must(t, os.Mkdir(dir, 0o755))
	}
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mount(t *testing.T, source, at, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, at, kind, flags, data); err != nil {
		t.Fatalf("mount %s at %s (as root, or in a user namespace): %v", kind, at, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
}

// declare writes a manifest. A path that begins with { is an object.
func (l *lab) declare(source string, scope Scope, paths ...string) {
	l.t.Helper()
	all := []json.RawMessage{}
	for _, p := range paths {
		if !strings.HasPrefix(p, "{") {
			p = strconv.Quote(p)
		}
		all = append(all, json.RawMessage(p))
	}
	raw, err := json.Marshal(map[string]any{"version": 1, "source": source, "scope": scope, "paths": all})
	must(l.t, err)
	must(l.t, os.WriteFile(filepath.Join(l.cfg.Manifests, source+".json"), raw, 0o600))
}

// home and volume write a file, with the directories above it; a name with a
// slash at its end is a directory.
func (l *lab) home(name, content string)   { l.t.Helper(); put(l.t, l.cfg.Home, name, content) }
func (l *lab) volume(name, content string) { l.t.Helper(); put(l.t, l.cfg.Volume, name, content) }

func put(t *testing.T, top, name, content string) {
	t.Helper()
	at := filepath.Join(top, name)
	if strings.HasSuffix(name, "/") {
		must(t, os.MkdirAll(at, 0o755))
		return
	}
	must(t, os.MkdirAll(filepath.Dir(at), 0o755))
	must(t, os.WriteFile(at, []byte(content), 0o600))
}

// rename saves a file as many programs do: beside it, and over it.
func (l *lab) rename(name, content string) {
	l.t.Helper()
	l.home(name+".tmp", content)
	must(l.t, os.Rename(filepath.Join(l.cfg.Home, name+".tmp"), filepath.Join(l.cfg.Home, name)))
}

// newContainer throws the home away.
func (l *lab) newContainer() {
	l.t.Helper()
	must(l.t, os.RemoveAll(l.cfg.Home))
	must(l.t, os.Mkdir(l.cfg.Home, 0o755))
}

// eventually waits for what no event tells of.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// tick waits until the clock of the file systems goes on: two changes in one
// tick of it have the same time.
func (l *lab) tick() {
	l.t.Helper()
	var begun time.Time
	eventually(l.t, "the clock of the file system", func() bool {
		put(l.t, l.cfg.Manifests, "clock", "")
		st, err := os.Stat(filepath.Join(l.cfg.Manifests, "clock"))
		must(l.t, err)
		if begun.IsZero() {
			begun = st.ModTime()
		}
		return st.ModTime().After(begun)
	})
}

// apply applies and wants a code.
func (l *lab) apply(want Code) {
	l.t.Helper()
	l.lines = nil
	if got := Apply(l.t.Context(), l.cfg); got != want {
		l.t.Fatalf("Apply = %d, want %d; it logged\n%s", got, want, l.log())
	}
}

func (l *lab) fold(want Code) {
	l.t.Helper()
	l.lines = nil
	if got := Fold(l.t.Context(), l.cfg); got != want {
		l.t.Fatalf("Fold = %d, want %d; it logged\n%s", got, want, l.log())
	}
}

func (l *lab) log() string {
	var b strings.Builder
	for _, line := range l.lines {
		b.WriteString(line.String() + "\n")
	}
	return b.String()
}

// logged wants a line that has all of the words.
func (l *lab) logged(words ...string) {
	l.t.Helper()
	for line := range strings.Lines(l.log()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return
		}
	}
	l.t.Errorf("the log has no line with %q:\n%s", words, l.log())
}

// quiet wants nothing but a summary of the log.
func (l *lab) quiet() {
	l.t.Helper()
	if len(l.lines) != 1 || l.lines[0].Action != Summary {
		l.t.Errorf("the log of a run with nothing to do:\n%s", l.log())
	}
}

// tree is what there is below a directory: paths with the content of files,
// "-> " and the target of links, and "/" of directories.
func tree(t *testing.T, top string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == top {
			return err
		}
		rel := strings.TrimPrefix(p, top+"/")
		switch {
		case d.IsDir():
			all[rel] = "/"
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			all[rel] = "-> " + target
			return err
		case d.Type().IsRegular():
			raw, err := os.ReadFile(p)
			all[rel] = string(raw)
			return err
		default:
			all[rel] = "special"
		}
		return nil
	})
	must(t, err)
	return all
}

// has wants a path below the home or the volume to be what tree says; "" is
// not to be there.
func (l *lab) has(top, name, want string) {
	l.t.Helper()
	if got := tree(l.t, top)[name]; got != want {
		l.t.Errorf("%s/%s is %q, want %q; log:\n%s", filepath.Base(top), name, got, want, l.log())
	}
}

func (l *lab) homeHas(name, want string)   { l.t.Helper(); l.has(l.cfg.Home, name, want) }
func (l *lab) volumeHas(name, want string) { l.t.Helper(); l.has(l.cfg.Volume, name, want) }

// linked wants a path of scope owner to be a link to its place.
func (l *lab) linked(name string) {
	l.t.Helper()
	l.homeHas(name, "-> "+filepath.Join(l.cfg.Volume, name))
}

// backups are the contents of the files in the backups of a path, by reason
// and path in it.
func (l *lab) backups(name string) map[string][]string {
	l.t.Helper()
	found := map[string][]string{}
	top := filepath.Join(l.cfg.Volume, controlDir, backupDir, string(Owner), escape(name))
	if _, err := os.Stat(top); err != nil {
		return found
	}
	for rel, content := range tree(l.t, top) {
		_, reason, _ := strings.Cut(rel, "-")
		if content != "/" {
			found[reason] = append(found[reason], content)
		}
	}
	for _, contents := range found {
		slices.Sort(contents)
	}
	return found
}

// backedUp wants the backups of a path to have certain contents.
func (l *lab) backedUp(name, reason string, want ...string) {
	l.t.Helper()
	if got := l.backups(name)[reason]; !slices.Equal(got, want) {
		l.t.Errorf("backups of %s, %s = %q, want %q; log:\n%s", name, reason, got, want, l.log())
	}
}

// tidied wants nothing to be left over: no copies, nothing put aside.
func (l *lab) tidied() {
	l.t.Helper()
	for _, top := range []string{l.cfg.Home, l.cfg.Volume} {
		for name := range tree(l.t, top) {
			if strings.Contains(name, controlDir+"/tmp/") || strings.HasPrefix(filepath.Base(name), asidePrefix) {
				l.t.Errorf("%s/%s is left over", filepath.Base(top), name)
			}
		}
	}
}

// job is what a process with roleWork does.
type job struct {
	Config struct{ Home, Volume, Manifests, Workspace string }
	Forget string // the path to forget, instead of Apply
	KillAt int    // the change before which it kills itself; 0 is none
}

const jobVariable = "HOME_TEST_JOB"

func doJob() Code {
	var j job
	if err := json.Unmarshal([]byte(os.Getenv(jobVariable)), &j); err != nil {
		panic(err)
	}
	cfg := Config{
		Home: j.Config.Home, Volume: j.Config.Volume, Manifests: j.Config.Manifests, Workspace: j.Config.Workspace,
		Log: func(l Line) { fmt.Println(l) },
	}
	n := 0
	cfg.step = func(string) {
		if n++; n == j.KillAt {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}
	if j.Forget != "" {
		_, code, err := Forget(context.Background(), cfg, j.Forget)
		fmt.Println(code, err)
		return code
	}
	return Apply(context.Background(), cfg)
}

// command is a process that does a job of the lab.
func (l *lab) command(j job) *exec.Cmd {
	j.Config.Home, j.Config.Volume, j.Config.Manifests, j.Config.Workspace = l.cfg.Home, l.cfg.Volume, l.cfg.Manifests, l.cfg.Workspace
	raw, err := json.Marshal(j)
	must(l.t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+roleWork, jobVariable+"="+string(raw))
	return cmd
}

var timeLongAgo = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// runAsUser runs the test t again in a process that is not root.
func runAsUser(t *testing.T) {
	t.Helper()
	const nobody = 65534
	tmp, err := os.MkdirTemp("", "home-persist")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	must(t, os.Chown(tmp, nobody, nobody))
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), roleVariable+"=", "TMPDIR="+tmp, "HOME="+tmp)
	cmd.Dir = tmp
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s as another user: %v\n%s", t.Name(), err, out)
	}
}
