package main

import (
	"errors"
	"net/url"
	"os"
	"testing"
)

// TestLoginThatCannotBeStored leaves the one before whole: a session must not go to
// another server than its own.
func TestLoginThatCannotBeStored(t *testing.T) {
	c := credentials{dir: configDir(t.TempDir())}
	first := &url.URL{Scheme: "https", Host: "first.example.com"}
	if err := c.store(first, "of the first"); err != nil {
		t.Fatal(err)
	}
	// No file takes the place of a directory that is not empty.
	broken := credentials{dir: configDir(t.TempDir())}
	if err := errors.Join(broken.dir.write(fileURL, first.String()), os.MkdirAll(string(broken.dir)+"/"+fileSession+"/x", 0o700)); err != nil {
		t.Fatal(err)
	}
	second := &url.URL{Scheme: "https", Host: "second.example.com"}
	if err := broken.store(second, "of the second"); err == nil {
		t.Error("a session that cannot be written is stored")
	}
	if got, err := broken.server(); got != first.String() || err != nil {
		t.Errorf("the server is %q, %v after a login that was not stored, want %s", got, err, first)
	}
	files, err := os.ReadDir(string(broken.dir))
	if err != nil || len(files) != 2 {
		t.Errorf("%d files are there, %v; want url and session alone", len(files), err)
	}
	if err := c.store(second, "of the second"); err != nil {
		t.Fatal(err)
	}
	got, err := c.token(second)
	if server, _ := c.server(); got != "of the second" || server != second.String() || err != nil {
		t.Errorf("stored are %q at %q, %v; want those of the second", got, server, err)
	}
}
