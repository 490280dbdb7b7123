package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var updateDocs = flag.Bool("update-docs", false, "write docs/cli.md and testdata/help anew")

// TestCLIDocs compares docs/cli.md with the commands. `make gen` writes it.
func TestCLIDocs(t *testing.T) {
	const file = "../../docs/cli.md"
	neutralHome(t)
	want := cliDocs(rootCommand(&globals{}))
	if *updateDocs {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/cli.md is not what the commands say: make gen")
	}
}

// neutralHome hides whose machine this is: defaults of flags tell of it.
func neutralHome(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"HOME": "/home/you", "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": "", "TMPDIR": ""} {
		t.Setenv(name, value)
	}
}

// cliDocs is a page of all commands but the hidden ones.
func cliDocs(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Made from the commands by `make gen`; do not edit. -->\n# The command line\n\n")
	b.WriteString(root.Long + "\n\nEvery command takes these flags, before or after its name:\n\n")
	writeFlags(&b, root.PersistentFlags())
	var write func(*cobra.Command)
	write = func(cmd *cobra.Command) {
		if cmd.Hidden || cmd.Name() == "help" {
			return
		}
		if cmd != root {
			writeCommand(&b, cmd)
		}
		for _, below := range cmd.Commands() {
			write(below)
		}
	}
	write(root)
	return b.Bytes()
}

func writeCommand(b *bytes.Buffer, cmd *cobra.Command) {
	fmt.Fprintf(b, "## %s\n\n", cmd.CommandPath())
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	text = strings.ReplaceAll(text, "\n  ", "\n    ") // what is indented is a block of code
	fmt.Fprintf(b, "%s\n\n    %s\n\n", text, cmd.UseLine())
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(b, "Also: %s\n\n", strings.Join(cmd.Aliases, ", "))
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "Examples:\n\n%s\n\n", indent(cmd.Example))
	}
	writeFlags(b, cmd.LocalNonPersistentFlags())
}

// writeFlags lists flags as their help does.
func writeFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			shown.AddFlag(f)
		}
	})
	if usages := shown.FlagUsages(); usages != "" {
		fmt.Fprintf(b, "%s\n", indent(strings.TrimRight(usages, "\n"))+"\n")
	}
}

// indent makes text a block of code.
func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "    " + strings.TrimPrefix(line, "  ")
		}
	}
	return strings.Join(lines, "\n")
}
