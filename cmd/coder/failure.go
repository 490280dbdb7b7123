package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berthdev/berth/server/api"
)

// hinted is an error together with what the user can do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// withHint adds what to do: a command to run, or a sentence.
func withHint(err error, hint string) error { return hinted{err, hint} }

// exitStatus ends the process with a code and without a text: what there was
// to say was said by whoever had that status.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// withStatus is an error that is reported like others but ends the process with
// a status of its own.
type withStatus struct {
	error
	status int
}

func (w withStatus) Unwrap() error { return w.error }

// errDeclined ends a command whose prompt the user refused or interrupted.
const errDeclined = exitStatus(1)

// report prints what went wrong and returns the exit status for it.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	var (
		status exitStatus
		sig    signaled
	)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &sig):
		return 128 + int(sig.Signal)
	}
	fmt.Fprintln(w, "error: "+forPeople(describe(err)))
	if hint := hintFor(cmd, err); hint != "" {
		fmt.Fprintln(w, "hint: "+forPeople(printable(hint)))
	}
	if other := (withStatus{}); errors.As(err, &other) {
		return other.status
	}
	return 1
}

// longestLine is how many characters of one line people can be asked to read: what
// is longer repeats what they gave.
const longestLine = 1000

// forPeople makes text that may be anybody's fit for a terminal.
func forPeople(text string) string {
	lines := strings.Split(printableLines(text), "\n")
	for i, line := range lines {
		if runes := []rune(line); len(runes) > longestLine {
			lines[i] = string(runes[:longestLine]) + "..."
		}
	}
	return strings.Join(lines, "\n")
}

// describe is the text of err, without the noise that nobody can act on.
func describe(err error) string {
	text := err.Error()
	var broken *url.Error
	if errors.As(err, &broken) {
		text = strings.Replace(text, broken.Error(), broken.Err.Error(), 1)
	}
	return strings.ReplaceAll(text, context.DeadlineExceeded.Error(), "no answer in time")
}

func hintFor(cmd *cobra.Command, err error) string {
	var (
		h         hinted
		refused   *api.Error
		broken    *url.Error
		untrusted *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized:
		return "coder login " + baseOf(refused.URL)
	case errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound && hasPath(refused.URL):
		return "is " + baseOf(refused.URL) + " the right server, and all of that its URL?"
	case errors.As(err, &untrusted):
		return "--client-tls-ca-file names an authority to trust besides the system's; coder doctor says more"
	case errors.As(err, &broken) && strings.HasPrefix(broken.Err.Error(), "proxyconnect "):
		return "HTTPS_PROXY and HTTP_PROXY name the proxy, NO_PROXY the hosts that are reached without it"
	case errors.As(err, &broken) && broken.Op != "parse":
		return "is " + baseOf(broken.URL) + " the right server, and is it running?"
	case cmd != nil && wrongUse(err.Error()):
		return cmd.CommandPath() + " --help"
	}
	return ""
}

// hasPath reports whether calls go below a path of their server, as behind a
// reverse proxy, or after a URL that was copied from a page.
func hasPath(call string) bool {
	u, err := url.Parse(baseOf(call))
	return err == nil && u.Path != ""
}

// wrongUse knows the errors of cobra about words of a command line.
func wrongUse(text string) bool {
	return strings.HasPrefix(text, "unknown command") || strings.Contains(text, " arg(s), ")
}

// baseOf cuts the path of a call off the URL of the server.
func baseOf(call string) string {
	base, _, _ := strings.Cut(call, "/api/v2/")
	for from, to := range map[string]string{"ws://": "http://", "wss://": "https://"} {
		if rest, ok := strings.CutPrefix(base, from); ok {
			return to + rest
		}
	}
	return base
}
