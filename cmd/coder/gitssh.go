package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

// keyWait bounds how long git waits for the user's key: then it goes on without.
const keyWait = 10 * time.Second

// ownKeys are the files in ~/.ssh that ssh would offer by itself, which it does
// not when it is given a key.
var ownKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa"}

func gitsshCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "gitssh -- SSH-ARGUMENTS...",
		Short:  "Run ssh for git, with the key of the workspace's owner",
		Hidden: true, // git runs it: see agent.Config
		Args:   cobra.MinimumNArgs(1),
		RunE:   func(cmd *cobra.Command, args []string) error { return gitssh(cmd.Context(), args) },
	}
}

// gitssh runs ssh with the key of the owner after the user's own. That there is
// none is no reason not to run it: the user may have keys that do.
func gitssh(ctx context.Context, args []string) error {
	if args[0] == "-G" { // git asks whether this is OpenSSH
		return runChild(append([]string{"ssh"}, args...))
	}
	dir, err := os.MkdirTemp("", "coder-gitssh-") // mode 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "key")
	command := []string{"ssh"}
	if err := fetchKey(ctx, file); err != nil {
		fmt.Fprintln(os.Stderr, "coder gitssh: going on without the key of the workspace's owner: "+describe(err))
	} else {
		command = append(command, identities(file)...)
	}
	return runChild(append(command, args...))
}

// fetchKey writes the key of the workspace's owner to a file.
func fetchKey(ctx context.Context, file string) error {
	c, err := agentClient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, keyWait)
	defer cancel()
	key, err := c.AgentGitSSHKey(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(key.PrivateKey), 0o600)
}

// identities are the options that name the user's own keys and one more.
func identities(file string) (options []string) {
	if home, err := os.UserHomeDir(); err == nil {
		for _, name := range ownKeys {
			own := filepath.Join(home, ".ssh", name)
			if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
				options = append(options, "-i", own)
			}
		}
	}
	return append(options, "-i", file)
}
