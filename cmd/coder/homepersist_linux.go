package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	persist "github.com/berthdev/berth/agent/home"
)

// homePersistFlags are those of coder home-persist.
type homePersistFlags struct {
	persist.Config
}

func homePersistCommand() *cobra.Command {
	f := &homePersistFlags{}
	cmd := &cobra.Command{
		Use:   "home-persist",
		Short: "Keep parts of the home on a volume",
		Long: "Keep parts of the home on a volume, while the rest of it is thrown away with the\n" +
			"container. Manifests declare which; each becomes a link to the volume.\n\n" +
			"Exit status: 0 all paths are fine, 1 some failed, 2 wrong usage or no valid\n" +
			"manifest, 3 the volume is not mounted, 4 others held its lock, 5 it is full or\n" +
			"can only be read.",
		Args: homeArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withStatus{withHint(err, cmd.CommandPath()+" --help"), int(persist.Invalid)}
	})
	f.register(cmd.PersistentFlags())
	cmd.AddCommand(
		f.work("apply", "Link what is declared, and bring what the home has there to the volume", persist.Apply),
		f.work("fold", "Take back what programs put in place of links; for the end of a container", persist.Fold),
		f.work("watch", "Take back files that programs put in place of links, as long as it runs", persist.Watch),
		f.statusCommand(), f.checkCommand(), f.forgetCommand(), f.gcCommand(),
	)
	return cmd
}

func (f *homePersistFlags) register(fs *pflag.FlagSet) {
	dir, _ := os.UserHomeDir() // its lack is told when the home is used
	fs.StringVar(&f.Home, "home", dir, "`directory` that is the home")
	env(fs, "home", "HOME_PERSIST_HOME")
	fs.Lookup("home").DefValue = "$HOME"
	fs.StringVar(&f.Volume, "volume", "/mnt/home-persist", "`mount point` of the volume")
	env(fs, "volume", "HOME_PERSIST_VOLUME")
	fs.StringVar(&f.Manifests, "manifests", "/etc/home-persist.d", "`directory` of the manifests")
	env(fs, "manifests", "HOME_PERSIST_MANIFESTS")
	fs.StringVar(&f.StateDir, "state-dir", "", "`directory` of the list of links (default: .local/state/home-persist in the home)")
	env(fs, "state-dir", "HOME_PERSIST_STATE_DIR")
	fs.StringVar(&f.Workspace, "workspace", "", "`id` of the workspace, for paths that are one's own")
	env(fs, "workspace", "CODER_WORKSPACE_ID")
	fs.DurationVar(&f.LockWait, "lock-timeout", 30*time.Second, "how long to wait for another workspace that works on the volume")
	env(fs, "lock-timeout", "HOME_PERSIST_LOCK_TIMEOUT")
}

// homeArgs gives wrong arguments the exit status that they have here.
func homeArgs(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return withStatus{withHint(err, cmd.CommandPath()+" --help"), int(persist.Invalid)}
		}
		return nil
	}
}

// config is what the flags say, with lines going to w. Root is refused: it would
// follow the links of the user with more rights than theirs.
func (f *homePersistFlags) config(w io.Writer) (persist.Config, error) {
	cfg := f.Config
	cfg.Log = func(l persist.Line) { fmt.Fprintln(w, l) }
	switch {
	case os.Geteuid() == 0:
		return cfg, withStatus{withHint(errors.New("home persistence is not for root"), "run it as the user whose home it is"), int(persist.Invalid)}
	case f.Home == "":
		return cfg, withStatus{withHint(errors.New("the home is not known"), "set HOME, or give --home"), int(persist.Invalid)}
	case f.LockWait <= 0:
		return cfg, withStatus{errors.New("--lock-timeout: want more than 0"), int(persist.Invalid)}
	}
	return cfg, nil
}

// homeResult is the end of a command with a code, and with what there is to say.
func homeResult(code persist.Code, err error) error {
	switch {
	case err != nil:
		return withStatus{err, max(int(code), 1)}
	case code != persist.OK:
		return exitStatus(code)
	}
	return nil
}

// work is a command that logs what it does.
func (f *homePersistFlags) work(use, short string, do func(context.Context, persist.Config) persist.Code) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  homeArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd.OutOrStdout())
			if err != nil {
				return err
			}
			return homeResult(do(cmd.Context(), cfg), nil)
		},
	}
}

func (f *homePersistFlags) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how each declared path is; exit status 0 only if all of them are fine",
		Long: "Show how each declared path is; exit status 0 only if all of them are fine.\n\n" +
			"ok        a link to what is on the volume\n" +
			"dangling  a link, and nothing on the volume yet\n" +
			"replaced  a program put something in place of the link: fold takes it back\n" +
			"foreign   a link to somewhere else, which stays\n" +
			"conflict  cannot be linked as it is\n" +
			"unlinked  apply has not been there yet\n" +
			"orphan    on the volume, and no workspace declares it: see gc and forget",
		Args: homeArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			rows, code, err := persist.Status(cfg)
			if err != nil {
				return homeResult(code, err)
			}
			print := printStatus
			if asJSON {
				print = func(w io.Writer, rows []persist.Row) error { return printJSON(w, append([]persist.Row{}, rows...)) }
			}
			if err := print(cmd.OutOrStdout(), rows); err != nil {
				return err
			}
			return homeResult(code, nil)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(w io.Writer, rows []persist.Row) error {
	lines := [][]string{{"PATH", "TYPE", "SCOPE", "SOURCE", "STATE", "BYTES", "DETAIL"}}
	for _, r := range rows {
		lines = append(lines, []string{
			printable(r.Path), r.Type, string(r.Scope), printable(r.Source), string(r.State), strconv.FormatInt(r.Bytes, 10), printable(r.Detail),
		})
	}
	return printTable(w, lines)
}

func (f *homePersistFlags) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check MANIFEST",
		Short: "Say what is wrong with a manifest; for those who build images, also as root",
		Args:  homeArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			lines, code := persist.Check(args[0], filepath.Clean(f.Home))
			for _, l := range lines {
				fmt.Fprintln(cmd.OutOrStdout(), l)
			}
			return homeResult(code, nil)
		},
	}
}

func (f *homePersistFlags) forgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forget PATH",
		Short: "Give a path that is not declared any more back to the home",
		Long: "Give a path that is not declared any more back to the home: it gets a copy of its\n" +
			"own, and what is on the volume goes to the backups.",
		Args: homeArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := f.config(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			backup, code, err := persist.Forget(cmd.Context(), cfg, args[0])
			if err != nil {
				return homeResult(code, err)
			}
			if backup != "" {
				fmt.Fprintln(cmd.OutOrStdout(), "What was on the volume is "+filepath.Join(cfg.Volume, backup))
			}
			return nil
		},
	}
}

func (f *homePersistFlags) gcCommand() *cobra.Command {
	var (
		older string
		yes   bool
	)
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Delete what is on the volume and no workspace declares any more",
		Long: "Delete what is on the volume and no workspace declares any more: paths, all that\n" +
			"belongs to a workspace that has not been started for so long, and their backups.\n" +
			"It asks before each.",
		Args: homeArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			age, err := parseLifetime(older)
			if err != nil || older == "" {
				return withStatus{fmt.Errorf("--older-than %q: want something like 30d or 12h", older), int(persist.Invalid)}
			}
			cfg, err := f.config(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return collect(cmd, cfg, age, yes)
		},
	}
	cmd.Flags().StringVar(&older, "older-than", "90d", "only what nobody has declared for so long, like 30d or 12h")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// collect asks about each orphan and deletes those that may go. The volume is
// not locked while the user thinks.
func collect(cmd *cobra.Command, cfg persist.Config, age time.Duration, yes bool) error {
	ctx := cmd.Context()
	found, code, err := persist.Orphans(ctx, cfg, age)
	if err != nil {
		return homeResult(code, err)
	}
	p := newPrompts()
	var chosen []persist.Orphan
	for _, o := range found {
		what := fmt.Sprintf("%s (%d bytes, not used since %s)", printable(o.Path), o.Bytes, o.Since.Format(time.DateOnly))
		if !yes {
			err := p.confirm(ctx, "Delete "+what+"?")
			if errors.Is(err, errDeclined) && ctx.Err() == nil {
				continue
			}
			if err != nil {
				return err
			}
		}
		fmt.Fprintln(cmd.OutOrStdout(), "Deleting "+what)
		chosen = append(chosen, o)
	}
	if len(chosen) == 0 {
		return nil
	}
	return homeResult(persist.Collect(ctx, cfg, chosen, age))
}
