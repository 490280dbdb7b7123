//go:build linux

package sshd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// machineEnv returns the variables that PAM would give every login: those of
// logind for this user, if they have a session or lingering, and the locale
// and settings of the machine.
func machineEnv() []string {
	env := logindEnv(fmt.Sprintf("/run/user/%d", os.Getuid()))
	for _, file := range []string{"/etc/environment", "/etc/default/locale"} {
		text, err := os.ReadFile(file)
		if err == nil {
			env = append(env, parseEnvFile(string(text))...)
		}
	}
	return env
}

// logindEnv returns what points to a user's runtime directory and, when it is
// there, to their message bus.
func logindEnv(dir string) []string {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil
	}
	env := []string{"XDG_RUNTIME_DIR=" + dir}
	bus := filepath.Join(dir, "bus")
	if st, err := os.Stat(bus); err == nil && st.Mode().Type() == os.ModeSocket {
		env = append(env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+bus)
	}
	return env
}

// parseEnvFile returns the KEY=VALUE of each line as pam_env reads it: "export"
// is allowed in front, quotes around the value, comments after a #.
func parseEnvFile(text string) (env []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !ok || key == "" || strings.ContainsAny(key, " \t\x00") {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		if !strings.ContainsRune(value, 0) {
			env = append(env, key+"="+value)
		}
	}
	return env
}
