package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// configDir is the directory that keeps the URL of the server and the session.
// Editors read and write the same files, so that their names are fixed.
type configDir string

// The files of a configDir; each holds one line.
const (
	fileURL          = "url"
	fileSession      = "session"
	fileOrganization = "organization"
)

func (g *globals) config() (configDir, error) {
	if g.configDir != "" {
		return configDir(g.configDir), nil
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "", withHint(fmt.Errorf("find the configuration directory: %w", err), "set CODER_CONFIG_DIR")
	}
	return configDir(filepath.Join(base, "coderv2")), nil
}

// read returns the content of a file without blanks around it, and "" when
// there is none.
func (d configDir) read(name string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(string(d), name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

// write replaces a file at once: a reader sees the old or the new content. Only
// the user may read it.
func (d configDir) write(name, content string) error {
	temporary, err := d.prepare(name, content)
	if err != nil {
		return err
	}
	defer os.Remove(temporary) // nothing left of it after the rename
	return os.Rename(temporary, filepath.Join(string(d), name))
}

// writeSession replaces the URL and the session of it, once there is room for both.
// A session that is another server's goes first: what ends this in its middle leaves
// nobody signed in, rather than a session that would be sent to the wrong server.
func (d configDir) writeSession(server, token string) error {
	address, err := d.prepare(fileURL, server)
	if err != nil {
		return err
	}
	defer os.Remove(address)
	session, err := d.prepare(fileSession, token)
	if err != nil {
		return err
	}
	defer os.Remove(session)
	if old, err := d.read(fileURL); err != nil || old != server {
		if err := d.remove(fileSession); err != nil {
			return err
		}
	}
	if err := os.Rename(address, filepath.Join(string(d), fileURL)); err != nil {
		return err
	}
	return os.Rename(session, filepath.Join(string(d), fileSession))
}

// session returns the session at a server, "" if there is none or that of another.
// Other logins may replace both files meanwhile. No session is stored twice, and
// whenever there is one the URL is its own: so the URL read between two reads of the
// same session is, which the same URL around another read is not. Who keeps a session
// without a URL says by that alone where it goes.
func (d configDir) session(server *url.URL) (string, error) {
	token, err := d.read(fileSession)
	for err == nil && token != "" {
		stored, failed := d.read(fileURL)
		again, failedAgain := d.read(fileSession)
		switch err = errors.Join(failed, failedAgain); {
		case err != nil || again != token:
			token = again
		case stored != "" && !isServer(stored, server):
			return "", nil
		default:
			return token, nil
		}
	}
	return "", err
}

// prepare writes what a file is to hold to one beside it, and returns its path.
func (d configDir) prepare(name, content string) (path string, err error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return "", err
	}
	return writeBeside(filepath.Join(string(d), name), []byte(content+"\n"))
}

// writeBeside writes content to a new file beside path, which only the user may
// read and which is on the disk then, and returns its path.
func writeBeside(path string, content []byte) (temporary string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// remove deletes files; those that are missing are fine.
func (d configDir) remove(names ...string) error {
	var all error
	for _, name := range names {
		if err := os.Remove(filepath.Join(string(d), name)); !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	return all
}
