//go:build linux

package sshd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// regress is one case of the comparison with OpenSSH's sshd: a script of bash
// that runs OpenSSH's programs against a server called "ws". It must exit with
// 0 against both servers and print the same, on stdout and stderr.
type regress struct {
	name  string // as in Debian's openssh-tests where that has such a case
	about string // what it shows, for docs/ssh.md
	sshd  string // more lines for sshd_config
	berth Config // the same for our server
	bash  string
}

// prelude is what scripts can use beside $DIR, a directory that both ends see
// and that holds 1 MiB of "data", $CONF, the configuration of the client that
// ssh, scp and sftp use, $WEB, the port of a web server that says hello, $P1 to
// $P3, free ports, and $HELPER, the programs of helper_test.go.
const prelude = `
set -uo pipefail
cd "$DIR"
trap 'kill $(jobs -p) 2>/dev/null' EXIT
pause() { sleep 0.02; }
until_exists() { for f; do until [ -e "$f" ]; do pause; done; done; }
until_gone() { while [ -e "$1" ]; do pause; done; }
until_dead() { while kill -0 "$1" 2>/dev/null; do pause; done; }
until_open() { until (: >/dev/tcp/127.0.0.1/"$1") 2>/dev/null; do pause; done; }
`

// peer is a server that scripts are run against.
type peer struct {
	bin  string // directory of ssh, scp and sftp that know the server
	conf string // configuration of the client
}

func TestRegress(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") }))
	t.Cleanup(web.Close)
	_, webPort, _ := net.SplitHostPort(web.Listener.Addr().String())
	plain := peers(t, regress{})
	t.Run("cases", func(t *testing.T) {
		for _, c := range allCases() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				pair := plain
				if c.sshd != "" {
					pair = peers(t, c)
				}
				compare(t, c, pair, webPort)
			})
		}
	})
}

func allCases() []regress {
	return slices.Concat(sessionCases, fileCases, forwardCases, toolCases)
}

// peers starts both servers: sshd first. Their users' home is an empty
// directory, so that nobody's shell start files take part, but sessions start
// where the user database says, as sshd cannot be told otherwise.
func peers(t *testing.T, c regress) [2]peer {
	t.Helper()
	keys, home := newKeys(t), t.TempDir()
	c.berth.Environ = []string{"HOME=" + home} // as little as sshd hands on
	acc := ownAccount(t.Context())
	c.berth.Login, c.berth.Shell = login(Login{Dir: acc.home}), acc.shell
	l := newLab(t, c.berth)
	return [2]peer{
		newPeer(t, keys, startSSHD(t, keys, c.sshd+"SetEnv HOME="+home+"\n")), newPeer(t, keys, l.port),
	}
}

// newPeer writes programs that know the server on port as ws and ws2.
func newPeer(t *testing.T, keys, port string) peer {
	t.Helper()
	p := peer{t.TempDir(), clientConfig(t, keys, port)}
	for name, options := range map[string]string{"ssh": "", "scp": "", "sftp": "-q"} {
		script := fmt.Sprintf("#!/bin/sh\nexec %s %s -F %s \"$@\"\n", program(t, name), options, p.conf)
		if err := os.WriteFile(filepath.Join(p.bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func compare(t *testing.T, c regress, pair [2]peer, webPort string) {
	data := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(data)
	var results [2]result
	var both sync.WaitGroup
	for i, p := range pair {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "data"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		both.Go(func() { results[i] = runScript(t, c, p, dir, webPort) })
	}
	both.Wait()
	want, got := results[0], results[1]
	if want.code != 0 {
		t.Errorf("against sshd the script exits with %d, want 0:\n%s%s", want.code, want.out, want.err)
	}
	if got != want {
		t.Errorf("against sshd: exit %d\n%s%s\nagainst ours: exit %d\n%s%s", want.code, want.out, want.err, got.code, got.out, got.err)
	}
}

// runScript runs a case in a process group of its own, of which nothing stays.
func runScript(t *testing.T, c regress, p peer, dir, webPort string) result {
	ports := []string{freePort(t), freePort(t), freePort(t)}
	helper, err := os.Executable()
	if err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "bash"), "-c", prelude+c.bash)
	cmd.Env = []string{
		"PATH=" + p.bin + ":" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C.UTF-8", "TERM=xterm", "TZ=UTC",
		"DIR=" + dir, "CONF=" + p.conf, "WEB=" + webPort, "HELPER=" + helper + " helper",
		"P1=" + ports[0], "P2=" + ports[1], "P3=" + ports[2],
	}
	cmd.WaitDelay = patience / 10 // what outlives the script and holds its output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	end := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = func() error { end(); return nil }
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Error(err)
		return result{code: -1}
	}
	end()
	if ctx.Err() != nil {
		stderr.WriteString("(killed, it took too long)")
	}
	names := []string{dir, "$DIR"}
	for i, port := range ports {
		names = append(names, port, fmt.Sprintf("$P%d", i+1))
	}
	clean := strings.NewReplacer(names...)
	return result{clean.Replace(out.String()), clean.Replace(stderr.String()), cmd.ProcessState.ExitCode()}
}

// newKeys makes a key for the user and one for sshd.
func newKeys(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"host", "user"} {
		if got := run(t, command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", filepath.Join(dir, name))); got.code != 0 {
			t.Fatalf("ssh-keygen = %+v", got)
		}
	}
	return dir
}

// clientConfig writes a configuration in which ws and ws2 are the server on
// port.
func clientConfig(t testing.TB, keys, port string) string {
	t.Helper()
	file, err := os.CreateTemp(keys, "config")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, err = fmt.Fprintf(file, `Host *
	HostName 127.0.0.1
	Port %s
	User %s
	IdentityFile %s
	IdentitiesOnly yes
	StrictHostKeyChecking no
	UserKnownHostsFile /dev/null
	LogLevel ERROR
	BatchMode yes
	# the default of some clients takes sshd 0.1 s each time
	KexAlgorithms curve25519-sha256
`, port, ownAccount(t.Context()).name, filepath.Join(keys, "user"))
	if err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// startSSHD starts OpenSSH's server as this user and returns its port.
func startSSHD(t testing.TB, keys, more string) (port string) {
	t.Helper()
	const binary = "/usr/sbin/sshd"
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("this test needs sshd: %v", err)
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd insists
			t.Fatal(err)
		}
	}
	port = freePort(t)
	config := more + fmt.Sprintf(`
Port %s
ListenAddress 127.0.0.1
HostKey %s/host
AuthorizedKeysFile %s/user.pub
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
AcceptEnv *
X11Forwarding yes
PrintMotd no
PrintLastLog no
MaxSessions 100
MaxStartups 100
Subsystem sftp internal-sftp
`, port, keys, keys)
	file := filepath.Join(t.TempDir(), "sshd_config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	sshd := exec.Command(binary, "-D", "-e", "-f", file)
	sshd.Env = []string{"PATH=" + os.Getenv("PATH")}
	stderr, err := sshd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sshd.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() {
		_ = sshd.Process.Kill()
		_ = sshd.Wait()
		wait(t, drained, "sshd to close its log")
	})
	expect(t, stderr, "Server listening")
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, stderr) }()
	return port
}

// TestDocumentation checks that docs/ssh.md lists these cases and no others.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/ssh.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range allCases() {
		want = append(want, fmt.Sprintf("| `%s` | %s | same |", c.name, c.about))
	}
	got := regexp.MustCompile("(?m)^\\| `.*\\| same \\|$").FindAllString(string(text), -1)
	if !slices.Equal(got, want) {
		t.Errorf("docs/ssh.md has the rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
