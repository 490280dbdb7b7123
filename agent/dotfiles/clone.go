package dotfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Repo is a git repository and where its clone is.
type Repo struct {
	URL    string    // as git takes it
	Branch string    // "" for the one that the repository names
	Dir    string    // of the clone, absolute
	Output io.Writer // of git; nil discards it
	// Ask lets git ask for passwords at the terminal.
	Ask bool
}

// ErrStale says that a clone is there but could not be brought up to date.
var ErrStale = errors.New("the clone is as it was")

// Get clones the repository, or brings the clone up to date. A clone of another
// repository, or whatever else is in its place, is moved aside; kept is where to.
// It blocks as long as git does.
func (r Repo) Get(ctx context.Context) (kept string, err error) {
	if r.URL == "" || strings.HasPrefix(r.URL, "-") {
		return "", fmt.Errorf("%q is not the URL of a repository", r.URL)
	}
	switch origin, err := r.origin(ctx); {
	case err != nil:
		return "", err
	case origin == r.URL:
		if err := r.update(ctx); err != nil {
			return "", fmt.Errorf("%w: %w", ErrStale, err)
		}
		return "", nil
	}
	return r.clone(ctx)
}

// origin is what the clone is of, or "" if it is none.
func (r Repo) origin(ctx context.Context) (string, error) {
	if _, err := os.Stat(filepath.Join(r.Dir, ".git")); err != nil {
		return "", nil
	}
	out, err := r.command(ctx, "-C", r.Dir, "config", "--get", "remote.origin.url").Output()
	if ctx.Err() != nil || errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("ask git for the origin of %s: %w", r.Dir, err)
	}
	return strings.TrimSpace(string(out)), nil // git fails when there is none
}

func (r Repo) update(ctx context.Context) error {
	if r.Branch == "" {
		return r.git(ctx, "-C", r.Dir, "pull", "--ff-only")
	}
	if err := r.git(ctx, "-C", r.Dir, "fetch", "origin", "refs/heads/"+r.Branch+":refs/remotes/origin/"+r.Branch); err != nil {
		return err
	}
	if err := r.git(ctx, "-C", r.Dir, "checkout", r.Branch, "--"); err != nil {
		return err
	}
	return r.git(ctx, "-C", r.Dir, "merge", "--ff-only", "refs/remotes/origin/"+r.Branch)
}

// clone clones under another name first, so that a clone is there whole or not.
func (r Repo) clone(ctx context.Context) (kept string, err error) {
	if err := os.MkdirAll(filepath.Dir(r.Dir), 0o700); err != nil {
		return "", err
	}
	half := filepath.Join(filepath.Dir(r.Dir), "."+filepath.Base(r.Dir)+".coder-clone")
	if err := os.RemoveAll(half); err != nil { // of a run that was killed
		return "", err
	}
	args := []string{"clone"}
	if r.Branch != "" {
		args = append(args, "--branch", r.Branch)
	}
	if err := r.git(ctx, append(args, "--", r.URL, half)...); err != nil {
		return "", errors.Join(err, os.RemoveAll(half))
	}
	if kept, err = moveAside(r.Dir); err != nil {
		return "", err
	}
	return kept, os.Rename(half, r.Dir)
}

// moveAside gives what is at path another name, if there is something.
func moveAside(path string) (kept string, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if info.IsDir() && os.Remove(path) == nil { // it was empty
		return "", nil
	}
	kept = freeName(path)
	return kept, os.Rename(path, kept)
}

func (r Repo) git(ctx context.Context, args ...string) error {
	cmd := r.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = r.Output, r.Output
	if err := cmd.Run(); err != nil {
		verb := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "-C" || a == r.Dir })[0]
		return fmt.Errorf("git %s: %w", verb, err)
	}
	return nil
}

// command is git in an environment that names no other repository.
func (r Repo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "GIT_DIR" || name == "GIT_WORK_TREE" || name == "GIT_INDEX_FILE"
	})
	if !r.Ask {
		cmd.Env = append(cmd.Env, "GIT_TERMINAL_PROMPT=0")
	}
	return cmd
}

// scripts are the names of those that set a home up, the first that is there
// does.
var scripts = []string{
	"install.sh", "install", "bootstrap.sh", "bootstrap", "script/bootstrap", "setup.sh", "setup", "script/setup",
}

// Script returns the path of the script that sets a home up from the clone in dir,
// or "" if it has none that may be executed.
func Script(dir string) string {
	for _, name := range scripts {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path
		}
	}
	return ""
}
