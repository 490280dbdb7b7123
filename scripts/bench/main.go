//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && parts[args[0]] != nil {
		return parts[args[0]](ctx, args[1:])
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	jsonFile := fs.String("json", "", "write the rows to this `file`")
	only := fs.String("only", "", "run the measurements whose names match this `regexp`")
	if err := fs.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	e, err := newEnvironment()
	if err != nil {
		return err
	}
	defer os.RemoveAll(e.dir)
	rows := measureAll(ctx, e, pattern)
	printTable(os.Stdout, rows)
	if *jsonFile != "" {
		if err := writeJSON(*jsonFile, rows); err != nil {
			return err
		}
	}
	return failures(rows)
}

// parts are the processes that the benchmark starts of itself.
var parts = map[string]func(context.Context, []string) error{
	"relay":         relayPart,
	"tsnet-control": tsnetControlPart,
	"stream":        streamPart,
	"raw":           rawPart,
	"fleet":         fleetPart,
}

// A measurement makes some rows of the table. Rows that it returns with an
// error count.
type measurement struct {
	name string
	rows func(context.Context, *environment) ([]row, error)
}

// measurements is ordered by what is quick.
var measurements = []measurement{
	{"size", sizes},
	{"session", sessions},
	{"agent", agentProcess},
	{"web", webTerminals},
	{"throughput", throughput},
	{"stream", streams},
	{"lab", labSessions},
	{"fleet", fleets},
}

func measureAll(ctx context.Context, e *environment, only *regexp.Regexp) []row {
	var all []row
	for _, m := range measurements {
		if !only.MatchString(m.name) || ctx.Err() != nil {
			continue
		}
		began := time.Now()
		rows, err := m.rows(ctx, e)
		if err != nil {
			rows = append(rows, row{name: m.name, err: err})
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %v\n", m.name, time.Since(began).Round(time.Second))
		all = append(all, rows...)
	}
	return all
}

// environment is what the measurements share.
type environment struct {
	coder, slim, self string // programs
	dir               string // for files
}

func newEnvironment() (*environment, error) {
	e := &environment{}
	var err error
	if e.self, err = os.Executable(); err != nil {
		return nil, err
	}
	for path, to := range map[string]*string{"build/coder": &e.coder, "build/slim/coder-linux-amd64": &e.slim} {
		if *to, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		if _, err := os.Stat(*to); err != nil {
			return nil, fmt.Errorf("%w: run make build slim-linux-amd64, and this from the root of the repository", err)
		}
	}
	if e.dir, err = os.MkdirTemp("", "berth-bench-"); err != nil {
		return nil, err
	}
	return e, nil
}

// subdir makes a directory of the environment.
func (e *environment) subdir(name string) (string, error) {
	return os.MkdirTemp(e.dir, name+"-")
}

func failures(rows []row) error {
	var failed []string
	for _, r := range rows {
		if r.err != nil {
			failed = append(failed, r.name)
		}
	}
	if len(failed) > 0 {
		return errors.New("not measured: " + strings.Join(failed, "; "))
	}
	return nil
}
