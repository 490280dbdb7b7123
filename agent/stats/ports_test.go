//go:build linux

package stats

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// patience is how long a test waits for what takes a moment.
const patience = 30 * time.Second

// listen listens until the test ends, or it is closed.
func listen(t testing.TB, network, address string) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

func numberOf(ln net.Listener) uint16 { return uint16(ln.Addr().(*net.TCPAddr).Port) }

// list returns the ports with these numbers.
func list(t *testing.T, p *Ports, numbers ...uint16) []Port {
	t.Helper()
	all, err := p.List()
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return slices.DeleteFunc(all, func(p Port) bool { return !slices.Contains(numbers, p.Number) })
}

// TestPorts listens in every way.
func TestPorts(t *testing.T) {
	any4, loopback, loopback6 := listen(t, "tcp4", ":0"), listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp6", "[::1]:0")
	both := listen(t, "tcp", ":0")
	twice := listen(t, "tcp4", "127.0.0.1:0")
	listen(t, "tcp6", fmt.Sprintf("[::1]:%d", numberOf(twice)))
	elsewhere := listen(t, "tcp4", "127.0.0.2:0")
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	var numbers []uint16
	var want []Port
	for _, ln := range []net.Listener{any4, loopback, loopback6, both, twice} {
		numbers = append(numbers, numberOf(ln))
		want = append(want, Port{Process: strings.TrimSpace(string(comm)), Network: "tcp", Number: numberOf(ln), PID: os.Getpid(), UID: uint32(os.Geteuid())})
	}
	slices.SortFunc(want, func(a, b Port) int { return int(a.Number) - int(b.Number) })
	p := &Ports{SearchTime: patience}
	for range 2 { // looked for, then remembered
		if got := list(t, p, append(numbers, numberOf(elsewhere))...); !slices.Equal(got, want) {
			t.Errorf("List = %+v, want %+v", got, want)
		}
	}
	loopback.Close()
	if got := list(t, p, numberOf(loopback)); len(got) != 0 {
		t.Errorf("List after a close = %+v, want nothing", got)
	}
}

// TestPortsChangeHands passes a socket on to another process.
func TestPortsChangeHands(t *testing.T) {
	ln := listen(t, "tcp4", "127.0.0.1:0")
	p := &Ports{SearchTime: patience}
	if got := list(t, p, numberOf(ln)); len(got) != 1 || got[0].PID != os.Getpid() {
		t.Fatalf("List = %+v, want this process", got)
	}
	file, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "1000")
	child.ExtraFiles = []*os.File{file}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	file.Close()
	ln.Close()
	if got := list(t, p, numberOf(ln)); len(got) != 1 || got[0].PID != child.Process.Pid || got[0].Process != "sleep" {
		t.Errorf("List = %+v, want %d, sleep", got, child.Process.Pid)
	}
}

const socketsHeader = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// socketLine is a line of /proc/net/tcp.
func socketLine(address, state string, uid, inode int) string {
	return fmt.Sprintf("   0: %s 00000000:0000 %s 00000000:00000000 00:00000000 00000000  %d        0 %d 1 0000000046819135 100 0 0 10 0\n", address, state, uid, inode)
}

// proc is a proc file system with these sockets, in which processes can be put.
func proc(t testing.TB, tcp, tcp6 string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "net"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"tcp": tcp, "tcp6": tcp6} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "net", name), []byte(socketsHeader+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// process puts a process with these descriptors into a proc file system.
func process(t testing.TB, proc string, pid int, comm, args string, descriptors ...string) {
	t.Helper()
	dir := filepath.Join(proc, fmt.Sprint(pid))
	if err := os.MkdirAll(filepath.Join(dir, "fd"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"comm": comm + "\n", "cmdline": args} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, target := range descriptors {
		if err := os.Symlink(target, filepath.Join(dir, "fd", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPortsOfAMachine(t *testing.T) {
	dir := proc(t,
		socketLine("00000000:0016", "0A", 0, 100)+ // 22, of a process that is hidden
			socketLine("0100007F:1F90", "0A", 1000, 101)+ // 8080
			socketLine("0100007F:1F91", "01", 1000, 102)+ // not listening
			socketLine("0100007F:0007", "0A", 1000, 103)+ // the agent's own
			socketLine("0100A8C0:1F92", "0A", 1000, 104)+ // 192.168.0.1
			socketLine("00000000:1F93", "0A", 0, 105), // hidden, and not over IPv6
		socketLine("0000000000000000FFFF00000100007F:1F94", "0A", 1000, 106)+ // ::ffff:127.0.0.1
			socketLine("00000000000000000000000000000000:1F93", "0A", 1000, 107)+
			socketLine("00000000000000000000000001000000:1F90", "0A", 1000, 108)+
			socketLine("B80D0120000000000000000001000000:1F95", "0A", 1000, 109), // 2001:db8::1
	)
	process(t, dir, 7, "MainThread", "/usr/bin/node\x00server.js\x00", "/dev/null", "socket:[101]", "socket:[999]")
	process(t, dir, 8, "java", "java", "socket:[106]", "socket:[107]", "socket:[108]")
	if err := os.Mkdir(filepath.Join(dir, "acpi"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := (&Ports{Proc: dir, SearchTime: patience}).List()
	want := []Port{
		{Number: 22, Network: "tcp"},
		{Number: 8080, Network: "tcp", Process: "node", PID: 7, UID: 1000},
		{Number: 8083, Network: "tcp", Process: "java", PID: 8, UID: 1000},
		{Number: 8084, Network: "tcp", Process: "java", PID: 8, UID: 1000},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("List = %+v, %v, want %+v", got, err, want)
	}
}

func TestPortsWithoutIPv6(t *testing.T) {
	p := &Ports{Proc: proc(t, socketLine("0100007F:1F90", "0A", 1000, 101), "")}
	if got, err := p.List(); err != nil || len(got) != 1 {
		t.Errorf("List = %+v, %v, want one", got, err)
	}
	if got, err := (&Ports{Proc: t.TempDir()}).List(); err == nil {
		t.Errorf("List without /proc = %+v, want an error", got)
	}
}

// TestHiddenOwners are not looked for all the time.
func TestHiddenOwners(t *testing.T) {
	dir := proc(t, socketLine("0100007F:1F90", "0A", 1000, 101), "")
	synctest.Test(t, func(t *testing.T) {
		p := &Ports{Proc: dir, SearchTime: patience}
		if got := list(t, p, 8080); len(got) != 1 || got[0].PID != 0 {
			t.Errorf("List = %+v, want one without an owner", got)
		}
		process(t, dir, 7, "node", "", "socket:[101]")
		time.Sleep(ownerRetry - time.Nanosecond)
		if got := list(t, p, 8080); got[0].PID != 0 {
			t.Errorf("List = %+v, want it not looked for again", got)
		}
		time.Sleep(time.Nanosecond)
		if got := list(t, p, 8080); got[0].PID != 7 {
			t.Errorf("List = %+v, want its owner", got)
		}
	})
}

// TestLongSearch is one that has no time: it looks at one process per call.
func TestLongSearch(t *testing.T) {
	dir := proc(t, socketLine("0100007F:1F90", "0A", 1000, 101), "")
	for _, pid := range []int{5, 70, 600} {
		process(t, dir, pid, "node", "", fmt.Sprintf("socket:[%d]", pid))
	}
	p := &Ports{Proc: dir}
	missing, owners := map[uint64]bool{5: true, 70: true, 600: true, 1: true}, map[uint64]owner{}
	for calls, pid := range []int{5, 70, 600, 5, 70} {
		if all := p.search(missing, owners, time.Time{}); all || owners[uint64(pid)].pid != pid || len(owners) != min(calls+1, 3) {
			t.Errorf("search %d = %v with the owners %v, want %d and no end", calls+1, all, owners, pid)
		}
	}
	if all := p.search(missing, owners, time.Now().Add(patience)); !all || len(missing) != 1 {
		t.Errorf("search with time = %v with %v missing, want the end, and one", all, missing)
	}
}

func FuzzListeners(f *testing.F) {
	f.Add(socketsHeader + socketLine("0100007F:1F90", "0A", 1000, 101))
	f.Add(socketLine("00000000000000000000000001000000:1F90", "0A", 4294967295, 1))
	f.Add(socketLine("0100:1F90", "0A", -1, 101))
	f.Fuzz(func(t *testing.T, text string) {
		found, err := listeners(strings.NewReader(text))
		if len(found) > strings.Count(text, "\n")+1 {
			t.Errorf("%d listeners in %q, %v", len(found), text, err)
		}
		for _, l := range found {
			if !l.address.IsValid() {
				t.Errorf("listener %+v in %q has no address", l, text)
			}
		}
	})
}

// BenchmarkPorts lists those of 300 processes, with everything to be found out
// and with everything known.
func BenchmarkPorts(b *testing.B) {
	var tcp strings.Builder
	for i := range 30 {
		tcp.WriteString(socketLine(fmt.Sprintf("0100007F:%04X", 8000+i), "0A", 1000, 1000+10*i))
	}
	dir := proc(b, tcp.String(), "")
	for i := range 300 {
		descriptors := []string{fmt.Sprintf("socket:[%d]", 1000+i)}
		for range 29 {
			descriptors = append(descriptors, "/dev/null")
		}
		process(b, dir, 100+i, "node", "", descriptors...)
	}
	warm := &Ports{Proc: dir}
	for _, known := range []bool{false, true} {
		b.Run(fmt.Sprintf("known=%v", known), func(b *testing.B) {
			for b.Loop() {
				p := warm
				if !known {
					p = &Ports{Proc: dir}
				}
				if got, err := p.List(); err != nil || len(got) != 30 {
					b.Fatalf("List = %+v, %v, want 30", got, err)
				}
			}
		})
	}
}
