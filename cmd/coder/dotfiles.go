package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/agent/dotfiles"
)

// fileDotfiles keeps which repository the dot files are from.
const fileDotfiles = "dotfilesurl"

// dotfilesOptions is one run of coder dotfiles.
type dotfilesOptions struct {
	repo    dotfiles.Repo
	linkDir string
	yes     bool
	asks    *prompts
}

func dotfilesCommand(g *globals) *cobra.Command {
	o := &dotfilesOptions{}
	cmd := &cobra.Command{
		Use:   "dotfiles GIT-URL",
		Short: "Set up this home from a repository of dot files",
		Long: "Set up this home, usually that of a workspace, from a git repository of dot files: clone it,\n" +
			"or bring the clone up to date; then run the first of these of it that may be executed:\n\n" +
			"  install.sh  install  bootstrap.sh  bootstrap  script/bootstrap  setup.sh  setup  script/setup\n\n" +
			"Without any, its dot files get links from the home. What a link takes the place of is kept\n" +
			"beside it under a name that ends with .bak.",
		Example: "  coder dotfiles https://git.example.com/ann/dotfiles\n  coder dotfiles --yes git@git.example.com:ann/dotfiles.git",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.repo.URL, o.asks = args[0], newPrompts()
			return o.run(cmd, g)
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.repo.Branch, "branch", "b", "", "`branch` of the repository (default: the one that it names)")
	fs.StringVar(&o.linkDir, "symlink-dir", "~/", "`directory` that gets the links")
	env(fs, "symlink-dir", "CODER_SYMLINK_DIR")
	fs.StringVar(&o.repo.Dir, "repo-dir", "dotfiles", "`directory` of the clone, below that of --global-config unless it is absolute")
	env(fs, "repo-dir", "CODER_DOTFILES_REPO_DIR")
	fs.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (o *dotfilesOptions) run(cmd *cobra.Command, g *globals) error {
	ctx := cmd.Context()
	if !o.yes { // asked for later, but nothing is to be done in vain
		if err := o.asks.can("Set up this home?", "--yes"); err != nil {
			return err
		}
	}
	config, err := g.config()
	if err == nil {
		err = o.places(config)
	}
	if err != nil {
		return err
	}
	o.repo.Output, o.repo.Ask = cmd.ErrOrStderr(), o.asks.terminal()
	if err := o.get(ctx, cmd); err != nil {
		return err
	}
	if err := config.write(fileDotfiles, o.repo.URL); err != nil {
		return fmt.Errorf("remember the repository: %w", err)
	}
	if script := dotfiles.Script(o.repo.Dir); script != "" {
		return o.runScript(ctx, cmd, script)
	}
	return o.link(ctx, cmd)
}

// places makes the directories absolute.
func (o *dotfilesOptions) places(config configDir) (err error) {
	if strings.TrimSpace(o.repo.URL) == "" {
		return errors.New("the URL of the repository is empty")
	}
	if o.linkDir, err = expandHome(o.linkDir); err != nil {
		return err
	}
	if !filepath.IsAbs(o.repo.Dir) && !strings.HasPrefix(o.repo.Dir, "~/") {
		o.repo.Dir = filepath.Join(string(config), o.repo.Dir)
	}
	if o.repo.Dir, err = expandHome(o.repo.Dir); err != nil {
		return err
	}
	// The clone takes the place of what is there.
	for _, taken := range []string{string(config), o.linkDir} {
		if taken, err = filepath.Abs(taken); err != nil {
			return err
		}
		if within(taken, o.repo.Dir) {
			return fmt.Errorf("--repo-dir: the clone cannot take the place of %s", taken)
		}
	}
	return nil
}

// within reports whether a path is dir or below it.
func within(path, dir string) bool {
	rest, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rest)
}

// get sees to the clone. One that cannot be brought up to date, as without a
// network, is used as it is.
func (o *dotfilesOptions) get(ctx context.Context, cmd *cobra.Command) error {
	kept, err := o.repo.Get(ctx)
	if kept != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "What was in %s is now in %s.\n", o.repo.Dir, kept)
	}
	if errors.Is(err, dotfiles.ErrStale) && ctx.Err() == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s: %v\n", o.repo.Dir, err)
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = withHint(err, "install git")
	}
	return err
}

func (o *dotfilesOptions) runScript(ctx context.Context, cmd *cobra.Command, path string) error {
	if !o.yes {
		if err := o.asks.confirm(ctx, "Run "+path+"?"); err != nil {
			return err
		}
	}
	script := exec.CommandContext(ctx, path)
	script.Dir = o.repo.Dir
	script.Stdin, script.Stdout, script.Stderr = os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := script.Run(); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s has run.\n", path)
	return err
}

func (o *dotfilesOptions) link(ctx context.Context, cmd *cobra.Command) error {
	links, err := dotfiles.Links(o.repo.Dir, o.linkDir)
	if err != nil {
		return err
	}
	if len(links) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "All links are there.")
		return err
	}
	if !o.yes {
		for _, l := range links {
			fmt.Fprintln(o.asks.out, printable(describeLink(l)))
		}
		if err := o.asks.confirm(ctx, "Make these links?"); err != nil {
			return err
		}
	}
	for _, l := range links {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := l.Make(); err != nil {
			return fmt.Errorf("link %s: %w", l.Path, err)
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), printable(describeLink(l))); err != nil {
			return err
		}
	}
	return nil
}

func describeLink(l dotfiles.Link) string {
	text := l.Path + " -> " + l.Target
	if l.Backup != "" {
		text += " (what was there is " + l.Backup + ")"
	}
	return text
}
