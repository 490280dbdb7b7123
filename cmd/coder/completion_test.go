//go:build linux

package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// completeLine has the script of bash complete a line, and prints what it offers.
const completeLine = `
source <(coder completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
read -ra COMP_WORDS <<<"$1"
[[ $1 == *\  ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; } # works for readline only
COMP_TYPE=9 # Tab
__start_coder coder
printf '%s\n' "${COMPREPLY[@]}"
`

func TestBashCompletes(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "blue-fox")
	l.coder(t, "create", "red-fox", "--template", "byo", "--yes")
	for line, want := range map[string]string{
		"coder ssh bl":                       "blue-fox",
		"coder ssh ":                         "blue-fox red-fox",
		"coder --verbose support bundle red": "red-fox",
		"coder support bundle --url-o":       "--url-override",
		"coder whoa":                         "whoami",
		"coder completion -s po":             "powershell",
	} {
		cmd := exec.Command("bash", "--norc", "-c", completeLine, "bash", line)
		cmd.Env = append(os.Environ(), "CODER_CONFIG_DIR="+l.configDir())
		out, err := cmd.CombinedOutput()
		if got := strings.Join(words(string(out)), " "); err != nil || got != want {
			t.Errorf("%q completes to %q, %v, want %q\n%s", line, got, err, want, out)
		}
	}
}

func TestUsualShell(t *testing.T) {
	for _, c := range []struct{ program, system, want string }{
		{"/usr/bin/zsh", "linux", "zsh"},
		{"", "linux", "."},
		{"", "windows", "powershell"},
		{"/usr/bin/bash.exe", "windows", "bash"},
	} {
		if got := usualShell(c.program, c.system); got != c.want {
			t.Errorf("usualShell(%q, %s) = %q, want %q", c.program, c.system, got, c.want)
		}
	}
}

// words are the first ones of the lines: descriptions follow some.
func words(lines string) []string {
	var all []string
	for line := range strings.Lines(lines) {
		if fields := strings.Fields(line); len(fields) > 0 {
			all = append(all, fields[0])
		}
	}
	return all
}

// TestTabCompletes presses Tab in a real shell at a terminal.
func TestTabCompletes(t *testing.T) {
	l := newLab(t)
	l.workspace(t, "blue-fox")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "--norc", "--noprofile", "-i")
	cmd.Env = append(os.Environ(), "CODER_CONFIG_DIR="+l.configDir(), "HISTFILE=", "TERM=dumb", "INPUTRC="+filepath.Join(l.dir, "none"))
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	const typed = "source <(coder completion bash)\ncoder ss\tbl\t-- printf 'it-%s\\n' ran </dev/null\nexit\n"
	if _, err := io.WriteString(terminal, typed); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	for lines := bufio.NewScanner(terminal); lines.Scan(); {
		seen.WriteString(lines.Text() + "\n")
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(seen.String(), "\nit-ran") {
		t.Errorf("bash ends with %v and shows no line it-ran:\n%s", err, &seen)
	}
}

// TestScriptsOfShells has every script made; the shells that are not here are
// those of users.
func TestScriptsOfShells(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete -o default", "zsh": "#compdef coder", "fish": "complete -c coder", "powershell": "Register-ArgumentCompleter"} {
		for _, args := range [][]string{{"completion", shell}, {"completion", "-s", shell}} {
			out, err := exec.Command("coder", args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("coder %s = %v, want %q in\n%.200s", args, err, want, out)
			}
		}
	}
	cmd := exec.Command("coder", "completion")
	cmd.Env = append(os.Environ(), "SHELL=/usr/bin/zsh")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "#compdef coder") {
		t.Errorf("coder completion of a user of zsh = %v\n%.200s", err, out)
	}
	cmd = exec.Command("coder", "completion", "tcsh")
	const want = "error: no completion for the shell \"tcsh\"\nhint: coder completion bash, zsh, fish or powershell\n"
	if out, err := cmd.CombinedOutput(); err == nil || string(out) != want {
		t.Errorf("coder completion tcsh = %v, %q, want %q", err, out, want)
	}
}
