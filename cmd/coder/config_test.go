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

func TestSessionGoesToItsServerOnly(t *testing.T) {
	for _, c := range []struct {
		stored, server string
		want           bool
	}{
		{"https://blue.example.com", "https://blue.example.com", true},
		{"https://Blue.Example.com/", "https://blue.example.com", true},
		{"blue.example.com", "https://blue.example.com", true},
		{"", "https://blue.example.com", true}, // who keeps it there means it
		{"https://blue.example.com", "http://blue.example.com", false},
		{"https://blue.example.com", "https://blue.example.com:8443", false},
		{"https://blue.example.com", "https://blue.example.com.evil.example", false},
		{"https://blue.example.com", "https://green.example.com", false},
		{"no URL at all\x00", "https://blue.example.com", false},
	} {
		kept := credentials{dir: configDir(t.TempDir())}
		if err := errors.Join(kept.dir.write(fileURL, c.stored), kept.dir.write(fileSession, "secret")); err != nil {
			t.Fatal(err)
		}
		server, err := url.Parse(c.server)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := kept.token(server); (got == "secret") != c.want || err != nil {
			t.Errorf("token for %s of a session of %q = %q, %v", c.server, c.stored, got, err)
		}
		if err := kept.forget(server); err != nil {
			t.Fatal(err)
		}
		if got, err := kept.dir.read(fileSession); (got == "") != c.want || err != nil {
			t.Errorf("session of %q after %s was forgotten = %q, %v", c.stored, c.server, got, err)
		}
	}
}

// TestSessionOfAnotherServer reads at every moment of logins to two servers, and of
// logouts, at each of which kill -9 may end one: no session is ever beside the URL of
// another server, or alone.
func TestSessionOfAnotherServer(t *testing.T) {
	c := credentials{dir: configDir(t.TempDir())}
	done := make(chan error, 1)
	var logins sync.WaitGroup
	defer logins.Wait()
	logins.Go(func() {
		var err error
		for i := range 300 {
			host := fmt.Sprintf("%d.example.com", i%2)
			server := &url.URL{Scheme: "https", Host: host}
			err = errors.Join(err, c.store(server, fmt.Sprintf("https://%s#%d", host, i)))
			if i%3 == 0 {
				err = errors.Join(err, c.forget(server))
			}
		}
		done <- err
	})
	for {
		// A session that is there before and after was there beside the URL: each is
		// stored once.
		before, _ := c.dir.read(fileSession)
		server, _ := c.dir.read(fileURL)
		after, _ := c.dir.read(fileSession)
		if got, err := c.token(&url.URL{Scheme: "https", Host: "0.example.com"}); got != "" && !strings.HasPrefix(got, "https://0.example.com#") || err != nil {
			t.Fatalf("token of one server = %q, %v, while another is signed in to", got, err)
		}
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
