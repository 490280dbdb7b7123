package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/berthdev/berth/connect/sshclient"
)

// gpgKeys is what gpg in the workspace gets of the one here.
type gpgKeys struct {
	socket string // of the gpg-agent here, which lets others sign and decrypt only
	public []byte // keys, as gpg exports them
	trust  string // lines of fingerprint:level:
}

// trustLine is what a line of gpg --export-ownertrust may be.
var trustLine = regexp.MustCompile(`^[0-9A-F]{40,64}:[0-9]+:$`)

// localGPG starts the gpg-agent here if it does not run, and reads the keyring.
func localGPG(ctx context.Context) (k gpgKeys, err error) {
	socket, err := gpg(ctx, "gpgconf", "--list-dirs", "agent-extra-socket")
	if err != nil {
		return k, err
	}
	if _, err := gpg(ctx, "gpgconf", "--launch", "gpg-agent"); err != nil {
		return k, err
	}
	k.socket = strings.TrimSpace(string(socket))
	if err := probe(ctx, dialingGPG(k.socket)); err != nil {
		return k, fmt.Errorf("--forward-gpg: gpg-agent does not answer on its extra socket: %w", err)
	}
	if k.public, err = gpg(ctx, "gpg", "--batch", "--quiet", "--export"); err != nil {
		return k, err
	}
	if len(k.public) == 0 {
		return k, withHint(errors.New("--forward-gpg: gpg has no keys on this machine"), "gpg --list-keys shows them")
	}
	trust, err := gpg(ctx, "gpg", "--batch", "--quiet", "--export-ownertrust")
	if err != nil {
		return k, err
	}
	for line := range strings.Lines(string(trust)) {
		if trustLine.MatchString(strings.TrimSpace(line)) {
			k.trust += strings.TrimSpace(line) + "\n"
		}
	}
	return k, nil
}

// gpg runs a program of GnuPG on this machine.
func gpg(ctx context.Context, name string, args ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, withHint(fmt.Errorf("--forward-gpg: %s is not installed on this machine", name), "install GnuPG")
	case err != nil:
		return nil, fmt.Errorf("--forward-gpg: %s %s: %w: %s", name, args[len(args)-1], err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.Bytes(), nil
}

// gpgTimeout is how long gpg in the workspace may take to read the keys; a large
// keyring takes it seconds.
const gpgTimeout = 2 * time.Minute

// noGPG is the status of importGPG where GnuPG is missing.
const noGPG = 69

// importGPG takes lines of trust, an empty line and keys on stdin, and prints where
// gpg there looks for its agent. What has that socket goes, before gpg could ask it:
// an agent, or another session like ours, whose client may be gone without a word
// and never answer. The newest counts. That gpg does not take each key is told, but
// there are such keys in every old keyring.
const importGPG = `command -v gpg >/dev/null && command -v gpgconf >/dev/null || exit 69
socket=$(gpgconf --list-dirs agent-socket) || exit
command -v timeout >/dev/null && soon="timeout 5" || soon=
clear() { $soon gpgconf --kill gpg-agent; rm -f "$socket"; }
clear >/dev/null 2>&1
trust=
while IFS= read -r line && [ -n "$line" ]; do trust="$trust$line
"; done
gpg --batch --quiet --import >&2
[ -z "$trust" ] || printf %s "$trust" | gpg --batch --quiet --import-ownertrust >&2
gpgconf --create-socketdir >/dev/null 2>&1
mkdir -p "$(dirname "$socket")" && chmod 700 "$(dirname "$socket")" || exit
clear >/dev/null 2>&1
printf %s "$socket"
`

// prepareGPG gives the keys to gpg in the workspace, over a connection of its own,
// and returns the forward of its agent's socket.
func (f *sshForwards) prepareGPG(ctx context.Context, w way) (fw sshclient.Forward, err error) {
	ctx, cancel := context.WithTimeout(ctx, gpgTimeout)
	defer cancel()
	stream, err := dialSSH(ctx, w)
	if err != nil {
		return fw, err
	}
	socket, errs, exit, err := f.keys.give(ctx, stream)
	switch {
	case err != nil:
		return fw, fmt.Errorf("--forward-gpg: prepare gpg in the workspace: %w", err)
	case exit.Status == noGPG:
		return fw, withHint(errors.New("--forward-gpg: gpg is not installed in the workspace"), "install GnuPG there")
	case exit.Status != 0 || !path.IsAbs(socket):
		return fw, fmt.Errorf("--forward-gpg: prepare gpg in the workspace: %s", errs)
	case errs != "":
		fmt.Fprintf(os.Stderr, "\rwarning: gpg in the workspace says: %s\n", errs)
	}
	return sshclient.Forward{Name: "--forward-gpg: " + socket, Path: socket, Dial: dialingGPG(f.keys.socket)}, nil
}

// give runs importGPG and returns what it printed, fit to be shown. It closes
// stream.
func (k gpgKeys) give(ctx context.Context, stream net.Conn) (out, errs string, exit sshclient.Exit, err error) {
	s, err := sshclient.Open(ctx, stream, sshclient.Request{User: "coder", Command: "exec sh -c '" + importGPG + "'"})
	if err != nil {
		return "", "", exit, err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { stream.Close() })()
	var outBytes, errBytes bytes.Buffer
	var streams sync.WaitGroup
	streams.Go(func() { s.Stdout.WriteTo(&outBytes) })
	streams.Go(func() { s.Stderr.WriteTo(&errBytes) })
	streams.Go(func() { // that it does not read all, its end tells
		s.Write([]byte(k.trust + "\n"))
		s.Write(k.public)
		s.CloseWrite()
	})
	streams.Wait()
	if exit, err = s.Wait(); ctx.Err() != nil {
		err = ctx.Err()
	}
	return printable(outBytes.String()), printable(strings.TrimSpace(errBytes.String())), exit, err
}
