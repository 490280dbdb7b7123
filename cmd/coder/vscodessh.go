package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// vscodeSSH is the ProxyCommand that editors of before wildcard hosts write into
// SSH configurations.
type vscodeSSH struct {
	ssh                sshOptions
	urlFile, tokenFile string
}

func vscodeSSHCommand(g *globals) *cobra.Command {
	o := &vscodeSSH{ssh: sshOptions{stdio: true, usageApp: "vscode"}}
	cmd := &cobra.Command{
		Use:    "vscodessh HOST",
		Short:  "Carry the bytes of an SSH connection for older editors",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.ssh.wait != "yes" && o.ssh.wait != "no" && o.ssh.wait != "auto" {
				return fmt.Errorf("--wait %q: want yes, no or auto", o.ssh.wait)
			}
			if o.ssh.target, err = parseEditorHost(args[0]); err != nil {
				return err
			}
			of := *g
			if err := o.readFiles(&of); err != nil {
				return err
			}
			return o.ssh.run(cmd.Context(), &of)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.urlFile, "url-file", "", "`file` with the URL of the server")
	fs.StringVar(&o.tokenFile, "session-token-file", "", "`file` with the session token")
	fs.StringVar(&o.ssh.networkInfoDir, "network-info-dir", "", "write what is known of the path to a file in this `directory`")
	fs.DurationVar(&o.ssh.networkInfoInterval, "network-info-interval", 5*time.Second, "how often that file is written")
	fs.StringVarP(&o.ssh.logDir, "log-dir", "l", "", "write a log file to this `directory`")
	fs.StringVar(&o.ssh.wait, "wait", "auto", "wait for the start scripts: yes, no, or auto as the template says")
	return cmd
}

// readFiles takes URL and token from the files, which count for more than what
// the environment says.
func (o *vscodeSSH) readFiles(g *globals) error {
	for _, f := range []struct {
		path string
		to   *string
	}{{o.urlFile, &g.url}, {o.tokenFile, &g.token}} {
		if f.path == "" {
			continue
		}
		raw, err := os.ReadFile(f.path)
		if err != nil {
			return fmt.Errorf("read what the editor left: %w", err)
		}
		if *f.to = strings.TrimSpace(string(raw)); *f.to == "" {
			return fmt.Errorf("%s is empty", f.path)
		}
	}
	return nil
}

// parseEditorHost reads coder-vscode.<server>--<owner>--<workspace>[.<agent>]. The
// name of a server may have double hyphens.
func parseEditorHost(host string) (target, error) {
	rest, last, ok := cutLast(host, "--")
	start, owner, both := cutLast(rest, "--")
	t := target{owner: owner}
	t.workspace, t.agent, _ = strings.Cut(last, ".")
	if !ok || !both || !strings.HasPrefix(start, "coder-vscode") || !t.valid() || strings.HasSuffix(last, ".") {
		return target{}, withHint(errors.New("the host is not one of an editor's"), "want coder-vscode.<server>--<owner>--<workspace>")
	}
	return t, nil
}

// cutLast is strings.Cut around the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
