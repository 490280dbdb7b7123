package netlab

import (
	"bufio"
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// sh is a shell script as a command.
func sh(script string) *exec.Cmd { return exec.Command("sh", "-c", script) }

func mustLine(t *testing.T, p *Proc, substr string) string {
	t.Helper()
	line, err := p.WaitLine(testContext(t), substr)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func TestKernelCommandRunsOnTheHost(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	host := lab.Host("server")
	out, err := host.Command(t.Context(), "ip", "-brief", "address", "show", uplink).Output()
	if err != nil || !strings.Contains(string(out), host.Addr().String()) {
		t.Errorf("ip address = %q, %v; want %v in it", out, err, host.Addr())
	}
	if err := host.Command(t.Context(), "sh", "-c", "exit 7").Run(); err == nil || err.Error() != "exit status 7" {
		t.Errorf("exit 7 = %v", err)
	}
	if err := host.Command(t.Context(), "no-such-program").Run(); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("missing program = %v, want %v", err, exec.ErrNotFound)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := host.Command(ctx, "cat")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cmd.Wait(); !errors.Is(err, context.Canceled) && err.Error() != "signal: killed" {
		t.Errorf("canceled command = %v", err)
	}
}

func TestKernelProcLines(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	host := lab.Host("server")
	p := host.Start(sh("echo ready 1; echo ready 2 >&2; ip -brief address; read x; echo last; exit 3"))
	for _, want := range []string{"ready 1", "ready 2"} {
		if got := mustLine(t, p, "ready"); got != want {
			t.Errorf("WaitLine = %q, want %q", got, want)
		}
	}
	mustLine(t, p, host.Addr().String())
	mustLine(t, p, "last")
	if _, err := p.WaitLine(testContext(t), "never"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("WaitLine at the end = %v, want exit status 3 in it", err)
	}
	if err := p.Wait(testContext(t)); err == nil || err.Error() != "exit status 3" {
		t.Errorf("Wait = %v, want exit status 3", err)
	}
	if !strings.HasPrefix(p.Output(), "ready 1\nready 2\n") || !strings.HasSuffix(p.Output(), "\nlast") {
		t.Errorf("Output = %q", p.Output())
	}
}

func TestKernelProcKillAndRestart(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	p := lab.Host("server").Start(sh("echo up as $$; exec cat /dev/zero >/dev/null"))
	first := mustLine(t, p, "up")
	if want := "up as " + strconv.Itoa(p.PID()); first != want {
		t.Errorf("line = %q, want %q", first, want)
	}
	p.Kill9()
	if err := p.Wait(testContext(t)); err == nil || err.Error() != "signal: killed" {
		t.Errorf("Wait after Kill9 = %v", err)
	}
	p.Restart()
	if second := mustLine(t, p, "up"); second == first {
		t.Errorf("new run says %q as the old one", second)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("Signal = %v", err)
	}
	if err := p.Wait(testContext(t)); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("Wait after SIGTERM = %v", err)
	}
}

// TestKernelProcChildrenGoOn: what a killed program started lives on with its
// output, and ends with the lab.
func TestKernelProcChildrenGoOn(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	fifo := filepath.Join(t.TempDir(), "news")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// Were the pipe closed behind it, the child would die of its echo.
	p := lab.Host("server").Start(sh("setsid sh -c 'echo child $$; read x <" + fifo + "; echo on && echo on >" + fifo + "; exec cat /dev/zero >/dev/null' & wait"))
	pid, err := strconv.Atoi(strings.TrimPrefix(mustLine(t, p, "child "), "child "))
	if err != nil {
		t.Fatal(err)
	}
	p.Kill9()
	if _, err := p.WaitLine(testContext(t), "never"); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("WaitLine after Kill9 = %v, want signal: killed in it", err)
	}
	if err := os.WriteFile(fifo, []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	if news, err := os.ReadFile(fifo); string(news) != "on\n" || err != nil {
		t.Errorf("child said %q, %v; want it to go on", news, err)
	}
	lab.Close()
	if err := unix.Kill(pid, 0); err == nil && !zombie(pid) {
		t.Errorf("child %d outlives the lab", pid)
	}
}

func zombie(pid int) bool {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return len(stat) == 0 || strings.Contains(string(stat), ") Z ")
}

// TestKernelDo: sockets belong to the host, the caller's thread does not.
func TestKernelDo(t *testing.T) {
	lab := newLab(t, KernelConfig{})
	a, b := lab.Host("a"), lab.Host("b")
	where := func() string {
		ns, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		return ns
	}
	outside := where()
	var inA, inB, backInA string
	err := a.Do(func() error {
		inA = where()
		err := b.Do(func() error { inB = where(); return errors.New("from b") })
		backInA = where()
		return err
	})
	if err == nil || err.Error() != "from b" {
		t.Errorf("Do = %v, want the function's error", err)
	}
	if inA == outside || inA == inB || inA != backInA || where() != outside {
		t.Errorf("namespaces: outside %v, a %v, b within a %v, a again %v, outside again %v", outside, inA, inB, backInA, where())
	}
	ln, err := a.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := netip.MustParseAddrPort(strings.Replace(ln.Addr().String(), "[::]", "0.0.0.0", 1)).Port()
	conn, err := b.Dial(testContext(t), "tcp", netip.AddrPortFrom(a.Addr(), port).String())
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	conn.Close()
}

// TestKernelCleansUpAfterCrash kills a process that made a lab with programs
// in it, some of which the kernel does not end with their parent.
func TestKernelCleansUpAfterCrash(t *testing.T) {
	if os.Getenv("NETLAB_CRASH") != "" {
		makeLabToCrash(t)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKernelCleansUpAfterCrash$", "-test.v")
	cmd.Env = append(os.Environ(), "NETLAB_CRASH=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	prefix, child, orphan := crashReport(bufio.NewScanner(out))
	if orphan == 0 {
		t.Fatal("child process made no lab")
	}
	childFD, orphanFD := openProcess(t, child), openProcess(t, orphan)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as wanted
	if err := awaitDeath(childFD, child, patience); err != nil {
		t.Errorf("program that the lab started, before the next lab: %v", err)
	}
	if got := namespacesOf(t, prefix); len(got) != 3 {
		t.Errorf("killed process left %v, want 3 namespaces (has somebody else made a lab?)", got)
	}
	newLab(t, KernelConfig{})
	if got := namespacesOf(t, prefix); len(got) != 0 {
		t.Errorf("next lab left %v of the killed process", got)
	}
	if err := awaitDeath(orphanFD, orphan, patience); err != nil {
		t.Error(err)
	}
}

func openProcess(t *testing.T, pid int) (fd int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("open process %d: %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func makeLabToCrash(t *testing.T) {
	lab := NewKernel(t, KernelConfig{})
	host := lab.Router("home", EasyNAT).Host("laptop")
	p := host.Start(sh("setsid cat /dev/zero >/dev/null & echo orphan $!; wait"))
	t.Logf("report %s %d %s.", lab.prefix, p.PID(), strings.TrimPrefix(mustLine(t, p, "orphan"), "orphan "))
	select {}
}

func crashReport(lines *bufio.Scanner) (prefix string, child, orphan int) {
	for lines.Scan() {
		if _, report, ok := strings.Cut(lines.Text(), "report "); ok {
			fields := strings.Fields(strings.TrimSuffix(report, "."))
			child, _ = strconv.Atoi(fields[1])
			orphan, _ = strconv.Atoi(fields[2])
			return fields[0], child, orphan
		}
	}
	return "", 0, 0
}

func TestKernelOrphaned(t *testing.T) {
	own, err := namePrefix()
	if err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(os.Getpid())
	for name, want := range map[string]bool{
		own + "x-host":                false,
		"netlab-" + pid + ".1-x-host": true, // a later process with its pid
		"netlab-4194305.1-x-host":     true, // above the largest pid
		"netlab-4194305-x":            false,
		"somebody-elses":              false,
		"":                            false,
	} {
		if got := orphaned(name); got != want {
			t.Errorf("orphaned(%q) = %v, want %v", name, got, want)
		}
	}
}
