//go:build linux

package e2e

import (
	"bufio"
	"context"
	"strings"
	"testing"
)

// agentPipe runs an SSH agent on a pipe of that Windows until the test's end, and
// returns its key.
func (w *onWindows) agentPipe(t *testing.T, pipe string) (key string) {
	t.Helper()
	program, err := buildForWine(w.Dir("exe"), "sshagentpipe.exe", "build", "./e2e/testdata/sshagentpipe")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := w.user.OpenSSH(ctx, wine, program, pipe)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	key, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the agent on %s prints %q, %v; want its key", pipe, key, err)
	}
	return strings.TrimSpace(key)
}

// forwardAgent lets the workspace ask the agents of Windows: that of the system,
// where nothing else is said, and one on another pipe. They answer more than one
// question, and over several connections.
func (w *onWindows) forwardAgent(t *testing.T) {
	r := w.user.Run(within(t, patience), "ssh", "-A", "ws", "--", "true")
	if want := `error: --forward-agent: the SSH agent of \\.\pipe\openssh-ssh-agent does not answer: `; r.Code != 1 || !strings.HasPrefix(r.Stderr, want) {
		t.Errorf("ssh -A without an agent = %d, %q, want %q", r.Code, r.Stderr, want)
	}
	system, other := w.agentPipe(t, `\\.\pipe\openssh-ssh-agent`), w.agentPipe(t, `\\.\pipe\of mine`)
	for _, c := range []struct {
		args []string
		key  string
	}{
		{nil, system},
		{[]string{"--identity-agent", `\\.\pipe\of mine`}, other},
		{[]string{"--identity-agent", `//./pipe/of mine`}, other},
	} {
		args := append([]string{"ssh", "-A"}, c.args...)
		const command = "ssh-add -L && ssh-add -L >key && ssh-keygen -q -Y sign -n test -f key <key >key.sig && ssh-keygen -Y check-novalidate -n test -s key.sig <key"
		r := w.user.Run(within(t, patience), append(args, "ws", "--", "cd $(mktemp -d); "+command)...)
		if r.Code != 0 || !strings.HasPrefix(r.Stdout, c.key) || !strings.Contains(r.Stdout, "Good \"test\" signature") {
			t.Errorf("coder %q = %d, want the key %s and its good signature:\n%s%s", args, r.Code, c.key, r.Stdout, r.Stderr)
		}
	}
}
