package main

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

func TestRepeatedFlagsFromTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		env  string
		want []string
	}{
		{"a=1", []string{"a=1"}},
		{"a=1,b=2", []string{"a=1", "b=2"}},
		{`"a=1,2",b=3`, []string{"a=1,2", "b=3"}},
		{`"list=[""x"",""y""]"`, []string{`list=["x","y"]`}},
		{"\"a=1\n2\"", []string{"a=1\n2"}},
	} {
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		got := fs.StringArray("pair", nil, "")
		env(fs, "pair", "TEST_PAIR")
		t.Setenv("TEST_PAIR", c.env)
		if err := readEnv(fs); err != nil || !slices.Equal(*got, c.want) {
			t.Errorf("TEST_PAIR=%s gives %q, %v, want %q", c.env, *got, err, c.want)
		}
	}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.StringArray("pair", nil, "")
	env(fs, "pair", "TEST_PAIR")
	t.Setenv("TEST_PAIR", `list=["x","y"]`)
	if err := readEnv(fs); err == nil {
		t.Errorf("TEST_PAIR=%s is taken, want an error: cut at its commas it is nonsense", `list=["x","y"]`)
	}
}
