package sshconfig

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Options are what a user says about the section, and what the section
// remembers. The zero value is what a user gets who says nothing.
type Options struct {
	Wait             string   // wait for the start scripts: yes, no or auto; empty is auto
	HostPrefix       string   // of the hosts; empty for what the server says
	HostnameSuffix   string   // of the hosts, without its dot; empty for what the server says
	DisableAutostart bool     // do not start a workspace that is stopped
	SSHOptions       []string // lines of an SSH configuration, like "Compression yes"
	Header           []string // key=value to add to requests to the server
	HeaderCommand    string   // prints more of them
}

// Equal reports whether both make the same section.
func (o Options) Equal(other Options) bool { return slices.Equal(o.Lines(), other.Lines()) }

// Lines are the options as key=value, without those that say nothing.
func (o Options) Lines() []string {
	var lines []string
	add := func(key, value string) {
		if value != "" {
			lines = append(lines, key+"="+value)
		}
	}
	if o.Wait != "auto" {
		add("wait", o.Wait)
	}
	add("ssh-host-prefix", o.HostPrefix)
	add("hostname-suffix", o.HostnameSuffix)
	if o.DisableAutostart {
		add("disable-autostart", "true")
	}
	for _, line := range o.SSHOptions {
		add("ssh-option", line)
	}
	for _, pair := range o.Header {
		add("header", pair)
	}
	add("header-command", o.HeaderCommand)
	return lines
}

const (
	optionsTitle = "# Last config-ssh options:"
	optionStart  = "# :"
)

// ReadOptions returns the options that a section remembers. Keys that it does
// not know it leaves out. They are not checked: see Check.
func ReadOptions(section []byte) Options {
	var o Options
	for line := range strings.Lines(string(section)) {
		pair, ok := strings.CutPrefix(strings.TrimSpace(line), optionStart)
		if !ok {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		o.set(key, value)
	}
	return o
}

func (o *Options) set(key, value string) {
	switch key {
	case "wait":
		o.Wait = value
	case "ssh-host-prefix":
		o.HostPrefix = value
	case "hostname-suffix":
		o.HostnameSuffix = value
	case "disable-autostart":
		o.DisableAutostart = value == "true"
	case "ssh-option":
		o.SSHOptions = append(o.SSHOptions, value)
	case "header":
		o.Header = append(o.Header, value)
	case "header-command":
		o.HeaderCommand = value
	}
}

var (
	prefixGrammar = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	suffixGrammar = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	optionGrammar = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9]*)(\s+|\s*=\s*)\S`)
)

// Check returns why the options cannot be written down, naming the flag to which
// each belongs. It trusts the user: what their ssh options do is their affair,
// but each is one line and none begins another block.
func (o Options) Check() error {
	if o.Wait != "" && o.Wait != "yes" && o.Wait != "no" && o.Wait != "auto" {
		return fmt.Errorf("--wait %q: want yes, no or auto", o.Wait)
	}
	if o.HostPrefix != "" && !prefixGrammar.MatchString(o.HostPrefix) {
		return fmt.Errorf("--ssh-host-prefix %q: want lower case letters, digits, dots and hyphens", o.HostPrefix)
	}
	if o.HostnameSuffix != "" && !suffixGrammar.MatchString(o.HostnameSuffix) {
		return fmt.Errorf("--hostname-suffix %q: want lower case letters, digits and hyphens, with dots between", o.HostnameSuffix)
	}
	for _, line := range o.SSHOptions {
		if err := checkSSHOption(line); err != nil {
			return fmt.Errorf("--ssh-option %q: %w", line, err)
		}
	}
	for _, text := range append([]string{o.HeaderCommand}, o.Header...) {
		if hasControl(text) {
			return errors.New("--header and --header-command: want one line without control characters") // the text may hold a secret
		}
	}
	return nil
}

func checkSSHOption(line string) error {
	if hasControl(line) {
		return errors.New("want one line without control characters")
	}
	match := optionGrammar.FindStringSubmatch(line)
	if match == nil {
		return errors.New("want KEY=VALUE or KEY VALUE")
	}
	if key := strings.ToLower(match[1]); key == "host" || key == "match" {
		return errors.New("begins a block of its own, which belongs outside of the section")
	}
	return nil
}

func hasControl(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }
