//go:build !slim

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berthdev/berth/server/api"
)

func TestServerOptionsComeFromOneTable(t *testing.T) {
	cmd := serverCommand()
	seen := map[string]string{}
	for _, opt := range new(serverOptions).table() {
		f := cmd.Flags().Lookup(opt.flag)
		if f == nil || !strings.Contains(f.Usage, "[$"+opt.variable()+"]") {
			t.Errorf("--%s: no flag whose help names %s", opt.flag, opt.variable())
		}
		for _, name := range []string{opt.variable(), opt.yaml} {
			if other, twice := seen[name]; twice && name != "" {
				t.Errorf("--%s and --%s share %s", opt.flag, other, name)
			}
			seen[name] = opt.flag
		}
	}
	for flag, variable := range map[string]string{
		"data-dir": "CODER_DATA_DIR", "block-direct-connections": "CODER_BLOCK_DIRECT", "postgres-url": "CODER_PG_CONNECTION_URL",
		"http-address": "CODER_HTTP_ADDRESS", "access-url": "CODER_ACCESS_URL", "relay-address": "CODER_RELAY_ADDRESS",
	} {
		if seen[variable] != flag {
			t.Errorf("%s is not the variable of --%s", variable, flag)
		}
	}
}

// startServer runs the command and returns the end of it and what it prints.
func startServer(ctx context.Context, args ...string) (lines io.Reader, done chan error) {
	cmd := rootCommand(&globals{})
	r, w := io.Pipe()
	cmd.SetOut(w)
	cmd.SetErr(io.Discard)
	cmd.SetArgs(append([]string{"server"}, args...))
	done = make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		w.Close()
		done <- err
	}()
	return r, done
}

func TestServerPrintsOneLineAndStops(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "berth.yaml")
	yaml := "dataDir: " + dir + "\nnetworking:\n  http:\n    httpAddress: nonsense\n  derp:\n    relayAddress: 127.0.0.1:0\n    blockDirect: true\n"
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CODER_CONFIG_PATH", config)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	// The flag wins over the file.
	out, done := startServer(ctx, "--http-address", "127.0.0.1:0")
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("read: %v; the server: %v", err, <-done)
	}
	want := "Berth " + api.Version + " is ready at http://127.0.0.1:"
	if got := string(line[:n]); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("the server printed %q, want one line that begins %q", got, want)
	}
	second, failed := startServer(t.Context(), "--http-address", "127.0.0.1:0")
	_, _ = io.Copy(io.Discard, second)
	var h hinted
	if err := <-failed; !errors.As(err, &h) || !strings.Contains(err.Error(), "in use by another server") || !strings.Contains(h.hint, "--data-dir") {
		t.Errorf("a second server on the data directory: %v, want an error with a hint", err)
	}
	stop()
	if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
		t.Errorf("afterwards the server printed %q, %v", rest, err)
	}
	if err := <-done; err != nil {
		t.Errorf("server = %v, want nil after an interrupt", err)
	}
}

func TestServerRefusesBadOptions(t *testing.T) {
	unknown := filepath.Join(t.TempDir(), "berth.yaml")
	if err := os.WriteFile(unknown, []byte("networking:\n  speed: high\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"unknown option \"networking.speed\"": {"-c", unknown},
		"read configuration":                  {"-c", "/nowhere.yaml"},
		"log level":                           {"--log-level", "loud"},
		"log format":                          {"--log-format", "poem"},
		"http address":                        {"--http-address", "nowhere"},
		"access URL":                          {"--access-url", "ftp://a"},
		"session duration":                    {"--session-duration", "1s"},
	} {
		// A data directory that cannot be made shows that nobody tried.
		out, done := startServer(t.Context(), append(args, "--data-dir", "/dev/null/x")...)
		_, _ = io.Copy(io.Discard, out)
		if err := <-done; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("coder server %v = %v, want an error with %q", args, err, want)
		}
	}
}
