package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/berthdev/berth/connect/sshconfig"
	"github.com/berthdev/berth/server/api"
)

// hosts is what the section leads to, after the options and the server.
func (o *configSSH) hosts(ctx context.Context, g *globals, c *api.Client) (sshconfig.Hosts, error) {
	h := sshconfig.Hosts{Program: o.program, Options: o.options, Windows: runtime.GOOS == "windows" && !o.unixPaths}
	if err := o.fromServer(ctx, c, &h); err != nil {
		return h, err
	}
	var err error
	if h.Program == "" {
		if h.Program, err = ownPath(); err != nil {
			return h, err
		}
	}
	kept, err := g.credentials()
	if err != nil {
		return h, err
	}
	if err := o.whose(kept, c, &h); err != nil {
		return h, err
	}
	if h.Flags, err = g.clientTLS.words(); err != nil {
		return h, err
	}
	if o.unixPaths {
		h.Program, h.ConfigDir = filepath.ToSlash(h.Program), filepath.ToSlash(h.ConfigDir)
		for i := range h.Flags {
			h.Flags[i] = filepath.ToSlash(h.Flags[i])
		}
	}
	return h, nil
}

// whose says where ssh finds the session: in a directory, or by the URL in the
// keyring, which naming a directory would switch off.
func (o *configSSH) whose(kept credentials, c *api.Client, h *sshconfig.Hosts) (err error) {
	if kept.keyring == nil {
		if h.ConfigDir, err = filepath.Abs(string(kept.dir)); err != nil {
			return err
		}
	}
	if stored, err := kept.server(); err != nil || stored != c.URL.String() || kept.keyring != nil {
		h.URL = c.URL.String()
	}
	if token, err := kept.token(c.URL); err != nil || token == "" {
		o.warn("ssh will not be signed in: there is no session in %s; run coder login", kept.dir)
	}
	return nil
}

// fromServer fills in what the server says, as far as it is harmless, and warns
// of what is not.
func (o *configSSH) fromServer(ctx context.Context, c *api.Client, h *sshconfig.Hosts) error {
	theirs, err := c.SSHConfig(ctx)
	if api.StatusCode(err) == http.StatusNotFound { // an old one
		theirs, err = api.SSHConfig{HostnamePrefix: sshconfig.DefaultPrefix, HostnameSuffix: sshconfig.DefaultSuffix}, nil
	}
	if err != nil {
		return err
	}
	var refused []string
	h.ServerOptions, refused = sshconfig.FromServer(theirs.SSHConfigOptions)
	for _, why := range refused {
		o.warn("the server's SSH option %s", why)
	}
	if h.Prefix = o.options.HostPrefix; h.Prefix == "" {
		if h.Prefix, err = sshconfig.ServerPrefix(theirs.HostnamePrefix); err != nil {
			o.warn("of the server, %v: give --ssh-host-prefix if you want it", err)
		}
	}
	if h.Suffix = o.options.HostnameSuffix; h.Suffix == "" {
		if h.Suffix, err = sshconfig.ServerSuffix(theirs.HostnameSuffix, c.URL.Hostname()); err != nil {
			o.warn("of the server, %v: give --hostname-suffix if you want it", err)
		}
	}
	return nil
}

func (o *configSSH) warn(format string, args ...any) {
	fmt.Fprintln(o.errs, "warning: "+printable(fmt.Sprintf(format, args...)))
}

// example is a host to try, that of a workspace of the user if there is one.
func example(ctx context.Context, c *api.Client, h sshconfig.Hosts) string {
	name := "WORKSPACE"
	if found, err := c.Workspaces(ctx, "owner:me", 1); err == nil && len(found.Workspaces) > 0 {
		name = printable(found.Workspaces[0].Name)
	}
	if h.Suffix != "" {
		return name + "." + h.Suffix
	}
	return h.Prefix + name
}

// ownPath is the path of this program: the one by which it was found, if that
// is it, because it stays when a package manager replaces what it leads to.
func ownPath() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the path of this program: %w", err)
	}
	found, err := exec.LookPath(os.Args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return self, nil
	}
	if found, err = filepath.Abs(found); err != nil {
		return self, nil
	}
	a, errA := os.Stat(self)
	b, errB := os.Stat(found)
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		return self, nil
	}
	return found, nil
}
