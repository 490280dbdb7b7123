package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/berthdev/berth/server/api"
)

// parameterFlags are what a user says about the parameters of a template.
type parameterFlags struct {
	pairs []string
	file  string

	ephemeral, options []string // like pairs: the server knows which hold for one build

	defaults             []string // for those that have no value otherwise
	askAll, askEphemeral bool
	askNothing           bool

	copied []api.BuildParameter // of another workspace; all else counts for more

	settled bool                 // what was to be asked is in answers, and so is what defaults gave
	answers []api.BuildParameter // count for more than what the flags say
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
	fs.StringArrayVar(&p.defaults, "parameter-default", nil, "`name=value` of a parameter that has no value otherwise: none is given, and the workspace had none; may be repeated")
	env(fs, "parameter-default", "CODER_RICH_PARAMETER_DEFAULT")
	fs.BoolVar(&p.askAll, "always-prompt", false, "ask for every parameter that is not given")
	fs.BoolVar(&p.askEphemeral, "prompt-ephemeral-parameters", false, "ask for the parameters that hold for one build and are not given")
	env(fs, "prompt-ephemeral-parameters", "CODER_PROMPT_EPHEMERAL_PARAMETERS")
	fs.BoolVar(&p.askEphemeral, "build-options", false, "the same as --prompt-ephemeral-parameters")
	fs.BoolVar(&p.askNothing, "use-parameter-defaults", false, "accepted for compatibility: what is not given is not asked for")
	env(fs, "use-parameter-defaults", "CODER_WORKSPACE_USE_PARAMETER_DEFAULTS")
	for _, name := range []string{"ephemeral-parameter", "build-option", "build-options", "use-parameter-defaults"} {
		fs.Lookup(name).Hidden = true
	}
}

// values are those of another workspace, then those of the file, then those of the
// flags, then the answers.
func (p *parameterFlags) values() ([]api.BuildParameter, error) {
	if p.askNothing && p.asks() {
		return nil, errors.New("--use-parameter-defaults asks for nothing: leave it out to be asked")
	}
	all := map[string]string{}
	for _, v := range p.copied {
		all[v.Name] = v.Value
	}
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
	given, err := readPairs("parameter", slices.Concat(p.pairs, p.ephemeral, p.options))
	if err != nil {
		return nil, err
	}
	if _, err := readPairs("parameter-default", p.defaults); err != nil { // before it is needed
		return nil, err
	}
	for _, v := range slices.Concat(given, p.answers) {
		all[v.Name] = v.Value
	}
	var out []api.BuildParameter
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, api.BuildParameter{Name: name, Value: all[name]})
	}
	return out, nil
}

// copy takes the values of a build of another workspace for those parameters of
// version that hold for more than one build.
func (p *parameterFlags) copy(ctx context.Context, c *api.Client, build, version uuid.UUID) error {
	had, err := c.BuildParameters(ctx, build)
	if err != nil {
		return err
	}
	wanted, err := c.TemplateParameters(ctx, version)
	if err != nil {
		return err
	}
	p.copied = lasting(had, wanted)
	return nil
}

// lasting are those of values whose parameter is wanted and holds for more than one
// build.
func lasting(values []api.BuildParameter, wanted []api.TemplateParameter) []api.BuildParameter {
	return slices.DeleteFunc(values, func(v api.BuildParameter) bool {
		return !slices.ContainsFunc(wanted, func(t api.TemplateParameter) bool { return t.Name == v.Name && !t.Ephemeral })
	})
}

// readPairs reads name=value and name=@file.
func readPairs(flag string, pairs []string) (out []api.BuildParameter, err error) {
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--%s %q: want name=value", flag, pair)
		}
		if file, is := strings.CutPrefix(value, "@"); is {
			raw, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("--%s %s: %w", flag, name, err)
			}
			value = string(raw)
		}
		out = append(out, api.BuildParameter{Name: name, Value: value})
	}
	return out, nil
}

// asks reports whether the user wants to be asked.
func (p *parameterFlags) asks() bool { return p.askAll || p.askEphemeral }

// settle asks what is to be asked and takes the defaults that are needed, so that
// values has them too. before is the build that the workspace has, if any. Only the
// first call does something.
func (p *parameterFlags) settle(ctx context.Context, c *api.Client, version, before uuid.UUID) error {
	if p.settled || !p.asks() && len(p.defaults) == 0 {
		return nil
	}
	p.settled = true
	known := map[string]string{}
	if before != uuid.Nil {
		had, err := c.BuildParameters(ctx, before)
		if err != nil {
			return err
		}
		for _, v := range had {
			known[v.Name] = v.Value
		}
	}
	given, err := p.values()
	if err != nil {
		return err
	}
	if p.asks() {
		if err := p.ask(ctx, c, version, given, known); err != nil {
			return err
		}
	}
	for _, v := range slices.Concat(given, p.answers) {
		known[v.Name] = v.Value
	}
	defaults, err := readPairs("parameter-default", p.defaults)
	for _, v := range defaults {
		if _, has := known[v.Name]; !has {
			p.answers = append(p.answers, v)
		}
	}
	return err
}

// ask asks for what is not given; an empty answer leaves a parameter as it is.
func (p *parameterFlags) ask(ctx context.Context, c *api.Client, version uuid.UUID, given []api.BuildParameter, had map[string]string) error {
	all, err := c.TemplateParameters(ctx, version)
	if err != nil {
		return err
	}
	prompts := newPrompts()
	for _, t := range all {
		named := func(v api.BuildParameter) bool { return v.Name == t.Name }
		if slices.ContainsFunc(given, named) || !p.askAll && !t.Ephemeral {
			continue
		}
		usual, has := had[t.Name]
		if !has {
			usual = t.DefaultValue
		}
		if usual != printable(usual) || len(usual) > 40 { // no line to show
			usual = "as it is"
		}
		text, err := prompts.text(ctx, fmt.Sprintf("Parameter %s [%s]", printable(t.Name), usual), "--parameter "+printable(t.Name)+"=value")
		if err != nil {
			return err
		}
		if text != "" {
			p.answers = append(p.answers, api.BuildParameter{Name: t.Name, Value: text})
		}
	}
	return nil
}
