package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func rootCommand(g *globals) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:               "coder",
		Short:             "Berth: remote workspaces that keep their sessions",
		Long:              "Berth: remote workspaces that keep their sessions.\n\nSign in with \"coder login <url>\", then \"coder ssh <workspace>\".",
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return readEnv(cmd.Flags()) },
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0: // cobra overlooks empty ones
				return cobra.NoArgs(cmd, args)
			case version:
				return printVersion(cmd.OutOrStdout(), "text")
			}
			return cmd.Help()
		},
	}
	// Not cobra's own flag: its template for the text would link text/template,
	// which makes the linker keep every method of every type, 5 MB.
	root.Flags().BoolVar(&version, "version", false, "print the version")
	root.SetOut(os.Stdout)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(err, cmd.CommandPath()+" --help")
	})
	g.register(root.PersistentFlags())
	root.AddCommand(
		loginCommand(g), logoutCommand(g), whoamiCommand(g), tokensCommand(g), usersCommand(g), publickeyCommand(g),
		createCommand(g), listCommand(g), showCommand(g), startCommand(g), stopCommand(g), restartCommand(g), updateCommand(g), renameCommand(g), deleteCommand(g),
		favoriteCommand(g), unfavoriteCommand(g), autoupdateCommand(g), stateCommand(g),
		externalCommand(g), templatesCommand(g),
		sshCommand(g), configSSHCommand(g), connectCommand(), expCommand(g), vscodeSSHCommand(g), terminalCommand(g), pingCommand(g), speedtestCommand(g), doctorCommand(g), netcheckCommand(g), portForwardCommand(g), logsCommand(g), openCommand(g),
		scheduleCommand(g), keepaliveCommand(g), supportCommand(g),
		versionCommand(), completionCommand(), statCommand(), dotfilesCommand(g),
		serverCommand(), resetPasswordCommand(), agentCommand(), gitsshCommand(), homePersistCommand(),
	)
	root.SetHelpCommand(helpCommand())
	for _, cmd := range root.Commands() {
		refuseUnknown(cmd)
	}
	return root
}

// refuseUnknown has a command that is nothing but its sub-commands refuse what
// is none of them; cobra would show help, and call that a success.
func refuseUnknown(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		refuseUnknown(sub)
	}
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args, cmd.DisableFlagsInUseLine = cobra.NoArgs, true
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
}

// helpCommand is cobra's, but what is no command is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Show what a command does",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			if found, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				for _, sub := range found.Commands() {
					if sub.IsAvailableCommand() {
						names = append(names, sub.Name())
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return withHint(fmt.Errorf("there is no command %q", strings.Join(args, " ")), "coder --help")
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// globals are the flags that every command takes, before or after its name.
type globals struct {
	url, token, configDir string
	header                []string
	headerCommand         string
	verbose               bool
	noVersionWarning      bool
	disableDirect         bool

	useKeyring bool
	clientTLS  clientTLS

	// Accepted because editors and scripts pass them; nothing depends on them.
	noFeatureWarning, disableTelemetry        bool
	noOpen, forceTTY, debugHTTP, debugOptions bool
}

func (g *globals) register(fs *pflag.FlagSet) {
	fs.StringVar(&g.url, "url", "", "URL of the server")
	env(fs, "url", "CODER_URL")
	fs.StringVar(&g.token, "token", "", "session or API token")
	env(fs, "token", "CODER_SESSION_TOKEN")
	fs.StringVar(&g.configDir, "global-config", "", "directory of the stored URL and session (default: coderv2 in the user's configuration directory)")
	env(fs, "global-config", "CODER_CONFIG_DIR")
	fs.StringArrayVar(&g.header, "header", nil, "add `key=value` to every request; may be repeated")
	env(fs, "header", "CODER_HEADER")
	fs.StringVar(&g.headerCommand, "header-command", "", "run `command` and add the key=value lines that it prints to every request")
	env(fs, "header-command", "CODER_HEADER_COMMAND")
	g.clientTLS.register(fs)
	fs.BoolVar(&g.useKeyring, "use-keyring", true, "keep the session in the keyring of macOS or Windows, unless --global-config is given; elsewhere it is in a file")
	env(fs, "use-keyring", "CODER_USE_KEYRING")
	fs.BoolVarP(&g.verbose, "verbose", "v", false, "log to stderr what happens")
	env(fs, "verbose", "CODER_VERBOSE")
	fs.BoolVar(&g.noVersionWarning, "no-version-warning", false, "do not warn when the server has another version")
	env(fs, "no-version-warning", "CODER_NO_VERSION_WARNING")
	fs.BoolVar(&g.disableDirect, "disable-direct-connections", false, "reach workspaces through the relay only")
	env(fs, "disable-direct-connections", "CODER_DISABLE_DIRECT_CONNECTIONS")

	fs.BoolVar(&g.noFeatureWarning, "no-feature-warning", false, "accepted for compatibility")
	env(fs, "no-feature-warning", "CODER_NO_FEATURE_WARNING")
	fs.BoolVar(&g.disableTelemetry, "disable-network-telemetry", false, "accepted for compatibility: there is none")
	env(fs, "disable-network-telemetry", "CODER_DISABLE_NETWORK_TELEMETRY")
	// Only coder open opens anything, which has a flag of its own; without this
	// one, cobra would take what follows it for its value.
	fs.BoolVar(&g.noOpen, "no-open", false, "print links, and open nothing")
	fs.BoolVar(&g.forceTTY, "force-tty", false, "accepted for compatibility")
	env(fs, "force-tty", "CODER_FORCE_TTY")
	fs.BoolVar(&g.debugHTTP, "debug-http", false, "accepted for compatibility: see --verbose")
	fs.BoolVar(&g.debugOptions, "debug-options", false, "accepted for compatibility")
	hidden := []string{"no-feature-warning", "disable-network-telemetry", "no-open", "force-tty", "debug-http", "debug-options"}
	for _, name := range []string{"agent-token", "agent-token-file", "agent-url"} { // coder agent has its own
		fs.String(name, "", "accepted for compatibility")
		hidden = append(hidden, name)
	}
	for _, name := range hidden {
		fs.Lookup(name).Hidden = true
	}
}

// envAnnotation is where a flag keeps the name of its environment variable.
const envAnnotation = "env"

// env gives a flag an environment variable, which its help names.
func env(fs *pflag.FlagSet, flag, variable string) {
	f := fs.Lookup(flag)
	f.Usage += " [$" + variable + "]"
	f.Annotations = map[string][]string{envAnnotation: {variable}}
}

// readEnv sets the flags that were not given from the environment. An empty
// variable counts as not set.
func readEnv(fs *pflag.FlagSet) error {
	var failed error
	fs.VisitAll(func(f *pflag.Flag) {
		names := f.Annotations[envAnnotation]
		if len(names) == 0 || f.Changed || failed != nil {
			return
		}
		value := os.Getenv(names[0])
		if value == "" {
			return
		}
		values, err := envValues(f, value)
		for i := 0; i < len(values) && err == nil; i++ {
			err = fs.Set(f.Name, values[i])
		}
		if err != nil {
			failed = fmt.Errorf("environment variable %s: %w", names[0], err)
		}
	})
	return failed
}

// envValues are what a variable gives a flag: one value, or for a flag that may
// be repeated those of a line of CSV, in which double quotes keep a comma.
func envValues(f *pflag.Flag, value string) ([]string, error) {
	if f.Value.Type() != "stringArray" {
		return []string{value}, nil
	}
	records, err := csv.NewReader(strings.NewReader(value)).ReadAll()
	if err != nil {
		return nil, withHint(fmt.Errorf("want values between commas: %w", err), `a value with a comma or a quote is "a=1,""2"""`)
	}
	return slices.Concat(records...), nil
}
