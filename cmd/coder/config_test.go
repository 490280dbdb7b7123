package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
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

// TestSessionOfAnotherServer reads at every moment of logins to two servers, at each
// of which kill -9 may end one: no session is ever beside the URL of another server.
func TestSessionOfAnotherServer(t *testing.T) {
	c := credentials{dir: configDir(t.TempDir())}
	done := make(chan error, 1)
	var logins sync.WaitGroup
	defer logins.Wait()
	logins.Go(func() {
		var err error
		for i := range 300 {
			host := fmt.Sprintf("%d.example.com", i%2)
			err = errors.Join(err, c.store(&url.URL{Scheme: "https", Host: host}, fmt.Sprintf("https://%s#%d", host, i)))
		}
		done <- err
	})
	for {
		// A session that is there before and after was there beside the URL: each is
		// stored once.
		before, _ := c.dir.read(fileSession)
		server, _ := c.dir.read(fileURL)
		after, _ := c.dir.read(fileSession)
		if of, _, _ := strings.Cut(before, "#"); before == after && before != "" && of != server {
			t.Fatalf("session %q is beside the URL %q", before, server)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}
