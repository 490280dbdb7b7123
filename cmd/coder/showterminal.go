package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/berthdev/berth/agent/pty"
)

// showTerminal shows a terminal on ours, whose keys are raw, until its program ends
// or the user leaves. back is the command that comes back to it.
func showTerminal(ctx context.Context, client *pty.Client, back string) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	keys := &keyboard{in: rawKeys(os.Stdin), quit: cancel}
	go func() { // left behind in its read of the keyboard
		_, _ = io.Copy(client, keys)
	}()
	beside.Go(func() {
		followSize(ctx, func(columns, rows int) error { return client.Resize(uint16(columns), uint16(rows)) })
	})
	shown := make(chan error, 1)
	beside.Go(func() {
		_, err := io.Copy(os.Stdout, client)
		shown <- err
	})
	var err error
	select {
	case err = <-shown:
	case <-ctx.Done():
	}
	_ = client.Close()
	io.WriteString(os.Stdout, pty.ResetTerminal)
	if keys.ended() {
		fmt.Fprintf(os.Stderr, "\r\nLeft the terminal. Come back: %s\r\n", back)
		return nil
	}
	if err != nil {
		return fmt.Errorf("show the terminal: %w", err)
	}
	return ctx.Err()
}
