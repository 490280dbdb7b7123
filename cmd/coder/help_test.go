package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp compares what --help says of every command, hidden ones too, with the
// files in testdata/help. `make gen` writes them.
func TestHelp(t *testing.T) {
	const dir = "testdata/help"
	neutralHome(t)
	want := map[string]string{}
	root := rootCommand(&globals{})
	root.InitDefaultHelpCmd()
	walk(root, func(cmd *cobra.Command) { want[goldenName(cmd)] = helpOf(t, cmd) })
	if *updateDocs {
		if err := writeGolden(dir, want); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text, known := want[f.Name()]
		switch {
		case !known:
			t.Errorf("%s is of no command: make gen", f.Name())
		case string(got) != text:
			t.Errorf("--help is not what %s says (make gen writes it anew):\n%s", f.Name(), text)
		}
		delete(want, f.Name())
	}
	for name := range want {
		t.Errorf("%s is missing: make gen", name)
	}
}

// walk visits a command and all below it.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, below := range cmd.Commands() {
		walk(below, visit)
	}
}

// goldenName is that of "coder users create": users_create.golden.
func goldenName(cmd *cobra.Command) string {
	_, path, below := strings.Cut(cmd.CommandPath(), " ")
	if !below {
		path = cmd.Name()
	}
	return strings.ReplaceAll(path, " ", "_") + ".golden"
}

// helpOf is what a command prints with --help, run anew as from a shell.
func helpOf(t *testing.T, cmd *cobra.Command) string {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand(&globals{})
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append(strings.Fields(cmd.CommandPath())[1:], "--help"))
	if err := root.Execute(); err != nil {
		t.Errorf("%s --help: %v", cmd.CommandPath(), err)
	}
	return out.String()
}

// writeGolden replaces the files of a directory.
func writeGolden(dir string, files map[string]string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
