//go:build linux

package sshd

import (
	"fmt"
	"net"
	"strings"
)

// defaultPath is the PATH of sessions of an agent that has none itself.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// foreign holds variables of the agent's own process that would be wrong in a
// session: those of a terminal it was started from and of its own shell.
var foreign = map[string]bool{
	"TERM": true, "SSH_TTY": true, "SSH_ORIGINAL_COMMAND": true,
	"PWD": true, "OLDPWD": true, "SHLVL": true, "_": true,
}

// magic holds variables by which clients talk to the agent, not to programs.
var magic = map[string]bool{
	typeVariable: true, containerVariable: true, "CODER_CONTAINER_USER": true,
}

// environment joins the sources of a session's variables. What the process
// inherits comes first, then what the client asked for, then the machine and
// the account; of these the first that names a variable wins. Then override
// and at last session replace whatever was there.
func environment(inherited, client []string, acc account, override, session []string) []string {
	e := variables{at: map[string]int{}}
	e.offer(inherited, foreign)
	e.offer(client, magic)
	e.offer(acc.machine, nil)
	e.offer([]string{
		"HOME=" + acc.home, "USER=" + acc.name, "LOGNAME=" + acc.name,
		"SHELL=" + acc.shell, "PATH=" + defaultPath, "MAIL=/var/mail/" + acc.name,
	}, nil)
	e.set(override)
	e.set(session)
	return e.list
}

// variables is a list of KEY=VALUE with each key once.
type variables struct {
	list []string
	at   map[string]int
}

// offer adds the entries whose key is new and not in except.
func (e *variables) offer(entries []string, except map[string]bool) {
	for _, entry := range entries {
		key, _, _ := strings.Cut(entry, "=")
		if _, have := e.at[key]; !have && !except[key] {
			e.put(key, entry)
		}
	}
}

func (e *variables) set(entries []string) {
	for _, entry := range entries {
		key, _, _ := strings.Cut(entry, "=")
		e.put(key, entry)
	}
}

func (e *variables) put(key, entry string) {
	if i, have := e.at[key]; have {
		e.list[i] = entry
		return
	}
	e.at[key] = len(e.list)
	e.list = append(e.list, entry)
}

// connectionEnv returns SSH_CLIENT and SSH_CONNECTION; a connection without IP
// addresses gets zeros, as programs split these by spaces.
func connectionEnv(remote, local net.Addr) []string {
	rip, rport := hostPort(remote)
	lip, lport := hostPort(local)
	return []string{
		fmt.Sprintf("SSH_CLIENT=%s %s %s", rip, rport, lport),
		fmt.Sprintf("SSH_CONNECTION=%s %s %s %s", rip, rport, lip, lport),
	}
}

func hostPort(addr net.Addr) (host, port string) {
	if addr != nil {
		if host, port, err := net.SplitHostPort(addr.String()); err == nil {
			return host, port
		}
	}
	return "0.0.0.0", "0"
}
