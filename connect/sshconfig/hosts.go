package sshconfig

import (
	"errors"
	"strings"
)

// Hosts is what a section leads to.
type Hosts struct {
	Program   string   // path of the coder command
	ConfigDir string   // directory of its session; "" for none
	URL       string   // of the server, if it is not the one of that session
	Flags     []string // words that go to it before the name of its command
	Windows   bool     // ssh is that of Windows, with its quoting of commands

	Prefix, Suffix string // of the names of hosts, as FromServer and Options.Check pass them
	Options        Options
	ServerOptions  []string // as FromServer returns them
}

// Body is the section between its markers.
//
// ssh takes the first value that it finds for an option, so that the user's
// options win over the server's and those over ours.
//
// Existing command lines give hosts with the suffix their ProxyCommand in a
// block of its own, "Match host *.coder !exec "coder connect exists %h"", for
// machines on which such names resolve by a VPN of the workspaces. There is no
// such VPN here, and the plain block saves a process with each connection.
func (h Hosts) Body() (string, error) {
	if h.Prefix == "" && h.Suffix == "" {
		return "", errors.New("no prefix and no suffix to know workspaces by")
	}
	var b strings.Builder
	b.WriteString("# This section is made by \"coder config-ssh\", which replaces it whole:\n" +
		"# keep options of your own outside of it.\n#\n")
	if lines := h.Options.Lines(); len(lines) > 0 {
		b.WriteString(optionsTitle + "\n")
		for _, line := range lines {
			b.WriteString(optionStart + line + "\n")
		}
		b.WriteString("#\n")
	}
	if h.Prefix != "" {
		if err := h.block(&b, h.Prefix+"*", "--ssh-host-prefix", h.Prefix); err != nil {
			return "", err
		}
	}
	if h.Suffix != "" {
		if err := h.block(&b, "*."+h.Suffix, "--hostname-suffix", h.Suffix); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// block writes what holds for the hosts of a pattern.
func (h Hosts) block(b *strings.Builder, pattern string, cut ...string) error {
	command, err := h.command(cut)
	if err != nil {
		return err
	}
	lines := append(append([]string{"Host " + pattern}, h.Options.SSHOptions...), h.ServerOptions...)
	lines = append(lines,
		"ConnectTimeout=0", // a workspace may have to be started first
		// The tailnet knows the agent by its key; that of the SSH server says nothing more.
		"StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null",
		"LogLevel ERROR", // no word about the host key each time
		"ProxyCommand "+command)
	b.WriteString(strings.Join(lines, "\n\t") + "\n")
	return nil
}

func (h Hosts) command(cut []string) (string, error) {
	words := []string{h.Program}
	if h.ConfigDir != "" {
		words = append(words, "--global-config", h.ConfigDir)
	}
	if h.URL != "" {
		words = append(words, "--url", h.URL)
	}
	for _, pair := range h.Options.Header {
		words = append(words, "--header", pair)
	}
	if h.Options.HeaderCommand != "" {
		words = append(words, "--header-command", h.Options.HeaderCommand)
	}
	words = append(append(words, h.Flags...), "ssh", "--stdio")
	if h.Options.Wait != "" && h.Options.Wait != "auto" {
		words = append(words, "--wait="+h.Options.Wait)
	}
	if h.Options.DisableAutostart {
		words = append(words, "--disable-autostart=true")
	}
	return command(append(words, cut...), h.Windows)
}
