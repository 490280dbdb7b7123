package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/berthdev/berth/server/api"
)

// parameterFlags are what a user says about the parameters of a template.
type parameterFlags struct {
	pairs []string
	file  string

	ephemeral, options []string // like pairs: the server knows which hold for one build
}

func (p *parameterFlags) register(fs *pflag.FlagSet) {
	fs.StringArrayVar(&p.pairs, "parameter", nil, "`name=value` of a parameter of the template, or name=@file for what a file holds; may be repeated")
	env(fs, "parameter", "CODER_RICH_PARAMETER")
	fs.StringVar(&p.file, "rich-parameter-file", "", "YAML `file` with a value for each name")
	env(fs, "rich-parameter-file", "CODER_RICH_PARAMETER_FILE")
	fs.StringArrayVar(&p.ephemeral, "ephemeral-parameter", nil, "the same as --parameter")
	env(fs, "ephemeral-parameter", "CODER_EPHEMERAL_PARAMETER")
	fs.StringArrayVar(&p.options, "build-option", nil, "the same as --parameter")
	env(fs, "build-option", "CODER_BUILD_OPTION")
	fs.Bool("use-parameter-defaults", false, "accepted for compatibility: what is not given is not asked for")
	for _, name := range []string{"ephemeral-parameter", "build-option", "use-parameter-defaults"} {
		fs.Lookup(name).Hidden = true
	}
}

// values are those of the file, then those of the flags.
func (p *parameterFlags) values() ([]api.BuildParameter, error) {
	all := map[string]string{}
	if p.file != "" {
		raw, err := os.ReadFile(p.file)
		if err != nil {
			return nil, fmt.Errorf("--rich-parameter-file: %w", err)
		}
		var values map[string]any
		if err := yaml.Unmarshal(raw, &values); err != nil {
			return nil, fmt.Errorf("--rich-parameter-file %s: %w", p.file, err)
		}
		for name, value := range values {
			switch value.(type) {
			case map[string]any, []any:
				return nil, fmt.Errorf("--rich-parameter-file %s: %s: want a text or a number", p.file, name)
			}
			all[name] = fmt.Sprint(value)
		}
	}
	for _, pair := range slices.Concat(p.pairs, p.ephemeral, p.options) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--parameter %q: want name=value", pair)
		}
		if file, is := strings.CutPrefix(value, "@"); is {
			raw, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("--parameter %s: %w", name, err)
			}
			value = string(raw)
		}
		all[name] = value
	}
	var out []api.BuildParameter
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, api.BuildParameter{Name: name, Value: all[name]})
	}
	return out, nil
}
