package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berthdev/berth/connect/sshconfig"
)

// configSSH is one run of config-ssh.
type configSSH struct {
	file        string
	program     string
	options     sshconfig.Options
	usePrevious bool
	unixPaths   bool
	dryRun      bool
	yes         bool
	remove      bool

	asks *prompts
	errs io.Writer // for warnings
}

func configSSHCommand(g *globals) *cobra.Command {
	o := &configSSH{asks: newPrompts()}
	cmd := &cobra.Command{
		Use:   "config-ssh",
		Short: "Let ssh, scp, rsync and editors reach workspaces by name",
		Long: "Let ssh, scp, rsync and editors reach workspaces by name.\n\n" +
			"It writes a section of its own into the SSH configuration and touches nothing else there.\n" +
			"Hosts are known by a suffix, or by a prefix:\n\n" +
			"  WORKSPACE.coder  WORKSPACE.AGENT.coder  AGENT.WORKSPACE.OWNER.coder  OWNER--WORKSPACE.coder\n" +
			"  coder.WORKSPACE  coder.WORKSPACE.AGENT  coder.AGENT.WORKSPACE.OWNER  coder.OWNER--WORKSPACE\n\n" +
			"Run it again to change the section; it asks before it writes. The section names no workspace:\n" +
			"those that are made later are reached too.",
		Example: "  coder config-ssh --dry-run\n" +
			"  coder config-ssh -o ForwardAgent=yes -o \"ControlPath ~/.ssh/%C\"\n" +
			"  coder config-ssh --remove",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.errs = cmd.ErrOrStderr()
			return o.run(cmd, g)
		},
	}
	o.register(cmd.Flags())
	return cmd
}

func (o *configSSH) register(fs *pflag.FlagSet) {
	fs.StringVar(&o.file, "ssh-config-file", filepath.Join("~", ".ssh", "config"), "`file` to write the section to")
	env(fs, "ssh-config-file", "CODER_SSH_CONFIG_FILE")
	fs.StringVar(&o.program, "coder-binary-path", "", "`path` of the coder command that ssh runs (default: this one)")
	env(fs, "coder-binary-path", "CODER_SSH_CONFIG_BINARY_PATH")
	fs.StringArrayVarP(&o.options.SSHOptions, "ssh-option", "o", nil, "`KEY=VALUE`, a line of an SSH configuration to add; may be repeated")
	env(fs, "ssh-option", "CODER_SSH_CONFIG_OPTS")
	fs.StringVar(&o.options.HostPrefix, "ssh-host-prefix", "", "`prefix` of the names of hosts (default: the server's)")
	env(fs, "ssh-host-prefix", "CODER_CONFIGSSH_SSH_HOST_PREFIX")
	fs.StringVar(&o.options.HostnameSuffix, "hostname-suffix", "", "`suffix` of the names of hosts (default: the server's)")
	env(fs, "hostname-suffix", "CODER_CONFIGSSH_HOSTNAME_SUFFIX")
	fs.StringVar(&o.options.Wait, "wait", "auto", "wait for the start scripts: yes, no, or auto as the template says")
	env(fs, "wait", "CODER_CONFIGSSH_WAIT")
	fs.BoolVar(&o.options.DisableAutostart, "disable-autostart", false, "do not start a workspace that is stopped")
	env(fs, "disable-autostart", "CODER_CONFIGSSH_DISABLE_AUTOSTART")
	fs.BoolVar(&o.usePrevious, "use-previous-options", false, "keep the options of the section that is there")
	env(fs, "use-previous-options", "CODER_SSH_USE_PREVIOUS_OPTIONS")
	fs.BoolVar(&o.unixPaths, "force-unix-filepaths", false, "on Windows: write paths and quotes as an ssh of Git or Cygwin wants them")
	env(fs, "force-unix-filepaths", "CODER_CONFIGSSH_UNIX_FILEPATHS")
	fs.BoolVarP(&o.dryRun, "dry-run", "n", false, "show what would change, and change nothing")
	env(fs, "dry-run", "CODER_SSH_DRY_RUN")
	fs.BoolVar(&o.remove, "remove", false, "take the section out of the file")
	fs.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
}

func (o *configSSH) run(cmd *cobra.Command, g *globals) error {
	path, err := expandHome(o.file)
	if err != nil {
		return err
	}
	file, err := sshconfig.Read(path)
	if err != nil {
		return fmt.Errorf("read the SSH configuration: %w", err)
	}
	section, err := sshconfig.Section(file.Text)
	if err != nil {
		return withHint(fmt.Errorf("%s: %w", file.Path, err), "mend the markers by hand; nothing was changed")
	}
	if o.remove {
		text, err := sshconfig.Remove(file.Text)
		if err != nil {
			return err
		}
		_, err = o.apply(cmd, file, text)
		return err
	}
	return o.set(cmd, g, file, section)
}

// set puts a section into the file that has the given one, or none.
func (o *configSSH) set(cmd *cobra.Command, g *globals, file *sshconfig.File, section []byte) error {
	ctx := cmd.Context()
	c, err := g.client(ctx)
	if err != nil {
		return err
	}
	if err := o.choose(ctx, g, section); err != nil {
		return err
	}
	if err := sshTakes(ctx, o.options.SSHOptions); err != nil {
		return err
	}
	hosts, err := o.hosts(ctx, g, c)
	if err != nil {
		return err
	}
	body, err := hosts.Body()
	if err != nil {
		return err
	}
	text, err := sshconfig.Set(file.Text, body)
	if err != nil {
		return err
	}
	if len(o.options.Header) > 0 || o.options.HeaderCommand != "" {
		file.Private = true
	}
	if len(o.options.Header) > 0 {
		o.warn("others on this machine see the headers among the arguments of ssh's processes: for a secret use --header-command")
	}
	written, err := o.apply(cmd, file, text)
	if err != nil || !written {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ssh reaches your workspaces now: ssh %s\n", example(ctx, c, hosts))
	return nil
}

// choose decides between the options that were given and those of the section
// that is there, and checks them.
func (o *configSSH) choose(ctx context.Context, g *globals, section []byte) error {
	o.options.HostPrefix = strings.ToLower(o.options.HostPrefix) // as ssh makes every host
	o.options.HostnameSuffix = strings.ToLower(strings.TrimPrefix(o.options.HostnameSuffix, "."))
	o.options.Header, o.options.HeaderCommand = g.header, g.headerCommand
	previous := sshconfig.ReadOptions(section)
	if section != nil && !previous.Equal(o.options) {
		keep, err := o.keeps(ctx, previous)
		if err != nil {
			return err
		}
		if keep {
			o.options = previous
		}
	}
	return o.options.Check()
}

// sshTakes asks the ssh of this machine about options: one that it does not know
// has it refuse the whole file, for every host. Where there is no ssh, or it does
// not say, they are taken.
func sshTakes(ctx context.Context, options []string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, line := range options {
		ssh := exec.CommandContext(ctx, "ssh", "-G", "-F", "none", "-o", line, "host")
		var said bytes.Buffer
		ssh.Stderr = &said
		// Of other errors, like directives that only a file may have, it says
		// nothing about a command line.
		if err := ssh.Run(); err == nil {
			continue
		}
		if text := strings.TrimSpace(said.String()); strings.HasPrefix(text, "command-line") {
			return fmt.Errorf("--ssh-option %q: ssh does not take it: %s", line, text)
		}
	}
	return nil
}

// keeps reports whether the user wants the options of the section that is there.
func (o *configSSH) keeps(ctx context.Context, previous sshconfig.Options) (bool, error) {
	if o.usePrevious || o.yes || o.dryRun {
		return o.usePrevious, nil
	}
	if o.asks.terminal() {
		fmt.Fprintf(o.asks.out, "then: %s\nnow:  %s\n", describeOptions(previous), describeOptions(o.options))
	}
	answer, err := o.asks.text(ctx, "The options differ from the last time: keep the earlier ones? [y/N]", "--use-previous-options, or --yes for those given now")
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}

func describeOptions(o sshconfig.Options) string {
	if lines := o.Lines(); len(lines) > 0 {
		return printable(strings.Join(lines, ", "))
	}
	return "none"
}

// apply writes text to the file if that changes it and the user wants it, and
// reports whether it did.
func (o *configSSH) apply(cmd *cobra.Command, file *sshconfig.File, text []byte) (bool, error) {
	diff := sshconfig.Diff(file.Path, file.Text, text)
	if len(diff) == 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%s is as it should be.\n", file.Path)
		return false, nil
	}
	if o.dryRun {
		_, err := cmd.OutOrStdout().Write(diff)
		return false, err
	}
	if !o.yes {
		if o.asks.terminal() {
			fmt.Fprintf(o.asks.out, "%s\n", diff)
		}
		if err := o.asks.confirm(cmd.Context(), "Change "+file.Path+" so?"); err != nil {
			return false, err
		}
	}
	err := file.Replace(text)
	if errors.Is(err, sshconfig.ErrChanged) {
		return false, withHint(err, "run it again")
	}
	if err != nil {
		return false, fmt.Errorf("write the SSH configuration: %w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is changed.\n", file.Path)
	return true, nil
}

// expandHome replaces ~/ at the start of a path.
func expandHome(path string) (string, error) {
	rest, ok := strings.CutPrefix(filepath.ToSlash(path), "~/")
	if !ok {
		return filepath.Abs(path)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the home directory: %w", err)
	}
	return filepath.Join(home, filepath.FromSlash(rest)), nil
}
