//go:build !slim

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/berthdev/berth/server"
	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// serverOptions are the options of the server as given: by flag, else by
// environment variable, else in the configuration file, else the default.
type serverOptions struct {
	config       string
	httpAddress  string
	accessURL    string
	dataDir      string
	postgresURL  string
	relayAddress string
	blockDirect  bool
	binDir       string
	session      time.Duration
	noRateLimits bool
	logFormat    string
	logLevel     string
}

// serverOption is a row of the table of options.
type serverOption struct {
	flag  string
	env   string // empty: CODER_ and the flag in capitals
	yaml  string // path in the configuration file; empty: not there
	usage string
	to    any // *string, *bool or *time.Duration, which holds the default
}

// table is all options of the server: flags, environment, file and help come
// from it. The http address is not Coder's 127.0.0.1:3000 but the port that its
// container images, and our documentation, use.
func (o *serverOptions) table() []serverOption {
	return []serverOption{
		{"config", "CODER_CONFIG_PATH", "", "read options from this YAML `file`", &o.config},
		{"http-address", "", "networking.http.httpAddress", "`host:port` to listen on; port 0 takes a free one", &o.httpAddress},
		{"access-url", "", "networking.accessURL", "`URL` by which users and agents reach the server (default: that of the http address)", &o.accessURL},
		{"data-dir", "", "dataDir", "`directory` of the database and caches (default: $STATE_DIRECTORY, else berth in the user's data directory)", &o.dataDir},
		{"postgres-url", "CODER_PG_CONNECTION_URL", "", "`URL` of a PostgreSQL database to use in place of SQLite", &o.postgresURL},
		{"relay-address", "", "networking.derp.relayAddress", "`host:port`, TCP and UDP, of the relay and STUN; empty for a relay on the http address only", &o.relayAddress},
		{"block-direct-connections", "CODER_BLOCK_DIRECT", "networking.derp.blockDirect", "let peers talk over the relay only", &o.blockDirect},
		{"bin-dir", "", "binDir", "`directory` of the binaries to download (default: slim, beside this program)", &o.binDir},
		{"session-duration", "", "networking.http.sessionDuration", "how long a session in a browser lasts without use", &o.session},
		{"dangerous-disable-rate-limits", "", "", "take any number of requests", &o.noRateLimits},
		{"log-format", "", "introspection.logging.format", "`format` of the log: text or json", &o.logFormat},
		{"log-level", "", "introspection.logging.level", "lowest `level` to log: debug, info, warn or error", &o.logLevel},
	}
}

func (opt serverOption) variable() string {
	if opt.env != "" {
		return opt.env
	}
	return "CODER_" + strings.ToUpper(strings.ReplaceAll(opt.flag, "-", "_"))
}

func (opt serverOption) register(fs *pflag.FlagSet) {
	short := ""
	if opt.flag == "config" {
		short = "c"
	}
	switch to := opt.to.(type) {
	case *string:
		fs.StringVarP(to, opt.flag, short, *to, opt.usage)
	case *bool:
		fs.BoolVar(to, opt.flag, *to, opt.usage)
	case *time.Duration:
		fs.DurationVar(to, opt.flag, *to, opt.usage)
	}
	env(fs, opt.flag, opt.variable())
}

func serverCommand() *cobra.Command {
	o := &serverOptions{
		httpAddress: "127.0.0.1:7080", relayAddress: "0.0.0.0:3478", session: 24 * time.Hour,
		logFormat: "text", logLevel: "info",
	}
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a server",
		Long: "Run a server: API, relay and coordinator in one process.\n\n" +
			"It prints one line with its URL when it is ready, logs to stderr and runs until it is interrupted.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.readFile(cmd.Flags()); err != nil {
				return err
			}
			cfg, err := o.serverConfig(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return runServer(cmd.Context(), cmd.OutOrStdout(), cfg)
		},
	}
	for _, opt := range o.table() {
		opt.register(cmd.Flags())
	}
	return cmd
}

// readFile takes from the configuration file what neither a flag nor the
// environment gave. A key that is no option is an error.
func (o *serverOptions) readFile(fs *pflag.FlagSet) error {
	if o.config == "" {
		return nil
	}
	k := koanf.New(".")
	if err := k.Load(file.Provider(o.config), yaml.Parser()); err != nil {
		return fmt.Errorf("read configuration %s: %w", o.config, err)
	}
	for _, opt := range o.table() {
		if opt.yaml == "" || !k.Exists(opt.yaml) {
			continue
		}
		value := k.String(opt.yaml)
		k.Delete(opt.yaml)
		if fs.Changed(opt.flag) {
			continue
		}
		if err := fs.Set(opt.flag, value); err != nil {
			return fmt.Errorf("configuration %s: %s: %w", o.config, opt.yaml, err)
		}
	}
	if rest := k.Keys(); len(rest) > 0 {
		return withHint(fmt.Errorf("configuration %s: unknown option %q", o.config, rest[0]), "coder server --help")
	}
	return nil
}

// serverConfig checks the options and makes values of them.
func (o *serverOptions) serverConfig(logs io.Writer) (server.Config, error) {
	log, err := o.logger(logs)
	if err != nil {
		return server.Config{}, err
	}
	cfg := server.Config{
		HTTPAddress: o.httpAddress, DataDir: o.dataDir, PostgresURL: o.postgresURL, RelayAddress: o.relayAddress,
		BlockDirect: o.blockDirect, BinDir: o.binDir, SessionDuration: o.session, NoRateLimits: o.noRateLimits, Logger: log,
	}
	if o.accessURL != "" {
		if cfg.AccessURL, err = url.Parse(o.accessURL); err != nil {
			return cfg, fmt.Errorf("access URL: %w", err)
		}
	}
	if cfg.DataDir == "" {
		if cfg.DataDir, err = dataDir(); err != nil {
			return cfg, err
		}
	}
	return cfg, cfg.Check()
}

func (o *serverOptions) logger(w io.Writer) (*slog.Logger, error) {
	opts := &slog.HandlerOptions{Level: new(slog.LevelVar)}
	if err := opts.Level.(*slog.LevelVar).UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", o.logLevel)
	}
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("log format %q: want text or json", o.logFormat)
}

// dataDir is the default data directory: what systemd gives a service, else
// that of the XDG base directories.
func dataDir() (string, error) {
	if dirs := os.Getenv("STATE_DIRECTORY"); dirs != "" {
		first, _, _ := strings.Cut(dirs, ":")
		return first, nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) { // a relative one is to be ignored
		return filepath.Join(dir, "berth"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", withHint(fmt.Errorf("find the data directory: %w", err), "give --data-dir")
	}
	return filepath.Join(home, ".local", "share", "berth"), nil
}

// runServer runs a server until ctx ends. The line that it prints is all of
// its output, and scripts wait for it.
func runServer(ctx context.Context, out io.Writer, cfg server.Config) error {
	s, err := server.New(ctx, cfg)
	if locked := (*store.LockedError)(nil); errors.As(err, &locked) {
		return withHint(err, "stop that server, or give this one another --data-dir")
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Berth %s is ready at %s\n", api.Version, s.URL())
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		cfg.Logger.Warn("systemd not told that the server is ready", "err", err)
	}
	stopping := context.AfterFunc(ctx, func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) })
	defer stopping()
	return s.Run(ctx)
}
