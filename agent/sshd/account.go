//go:build linux

package sshd

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// account is what the user database says about one user, and what a login of
// theirs gets from the machine.
type account struct {
	name, home, shell string
	machine           []string // variables
}

// ownAccount returns the account of the user that this process runs as. It is
// looked up anew each time, so that chsh works without a restart. Users whom
// /etc/passwd does not know (LDAP, systemd-homed) are asked of getent.
func ownAccount(ctx context.Context) account {
	uid := strconv.Itoa(os.Getuid())
	a, ok := passwdFile(uid)
	if !ok {
		a, ok = getent(ctx, uid)
	}
	if !ok {
		a = account{name: uid, home: "/"}
	}
	if a.shell == "" {
		a.shell = "/bin/sh"
	}
	a.machine = machineEnv()
	return a
}

func passwdFile(uid string) (account, bool) {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return account{}, false
	}
	defer f.Close()
	return findAccount(f, uid)
}

// getentTimeout is short because a person waits behind it for a prompt.
const getentTimeout = 2 * time.Second

func getent(ctx context.Context, uid string) (account, bool) {
	ctx, cancel := context.WithTimeout(ctx, getentTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "getent", "passwd", uid).Output()
	if err != nil {
		return account{}, false
	}
	return findAccount(strings.NewReader(string(out)), uid)
}

// findAccount returns the first account with that uid from lines in the format
// of passwd(5).
func findAccount(r io.Reader, uid string) (account, bool) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Split(lines.Text(), ":")
		if len(f) == 7 && f[2] == uid && f[0] != "" && f[0][0] != '#' {
			return account{name: f[0], home: f[5], shell: f[6]}, true
		}
	}
	return account{}, false
}
