//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

const mega = 1e6

// sizes measures the slim binary, as it is downloaded to workspaces.
func sizes(ctx context.Context, e *environment) ([]row, error) {
	info, err := os.Stat(e.slim)
	if err != nil {
		return nil, err
	}
	rows := []row{{name: "slim binary, stripped", value: float64(info.Size()) / mega, unit: "MB", limits: []limit{atMost(25)}}}
	packed, err := zstdSize(ctx, e.slim)
	if err != nil {
		return append(rows, failed("slim binary, zstd -19", err)), nil
	}
	return append(rows, row{name: "slim binary, zstd -19", value: float64(packed) / mega, unit: "MB", limits: []limit{atMost(9)}}), nil
}

func zstdSize(ctx context.Context, file string) (int64, error) {
	cmd := exec.CommandContext(ctx, "zstd", "-19", "-T0", "-q", "-c", file)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, out)
	if err != nil {
		return 0, err
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("zstd: %w: %s", err, errs.String())
	}
	return n, nil
}
