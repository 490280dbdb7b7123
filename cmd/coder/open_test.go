package main

import (
	"strings"
	"testing"

	"github.com/berthdev/berth/server/api"
)

func TestFolderOfAnEditor(t *testing.T) {
	for _, c := range []struct{ folder, directory, want string }{
		{"", "", ""},
		{"", "/home/ada", "/home/ada"},
		{"src/x", "/home/ada", "/home/ada/src/x"},
		{"/srv/../opt", "/home/ada", "/opt"},
		{"/srv", "", "/srv"},
	} {
		if got, err := absolute(c.folder, api.Agent{ExpandedDirectory: c.directory}); got != c.want || err != nil {
			t.Errorf("absolute(%q) with the directory %q = %q, %v; want %q", c.folder, c.directory, got, err, c.want)
		}
	}
	if got, err := absolute("src", api.Agent{Name: "main"}); err == nil {
		t.Errorf("absolute(src) without a directory = %q, want an error", got)
	}
}

// TestAppLinks opens only what is a page elsewhere: a template is not to start
// programs of the user's machine.
func TestAppLinks(t *testing.T) {
	agent := api.Agent{Name: "main", Apps: []api.App{
		{Slug: "docs", URL: "https://example.com/docs", External: true},
		{Slug: "editor", URL: "vscode://x/y", External: true},
		{Slug: "file", URL: "file:///etc/passwd", External: true},
		{Slug: "web", URL: "http://localhost:8080/x"},
		{Slug: "top", Command: "htop"},
	}}
	ws := api.Workspace{Name: "dev"}
	if got, err := appLink(ws, agent, "docs"); got != "https://example.com/docs" || err != nil {
		t.Errorf("link of a page elsewhere = %q, %v", got, err)
	}
	for slug, want := range map[string]string{
		"editor": "another program", "file": "no URL", "web": "passes no apps on", "top": "is a command", "nothing": "has no app",
	} {
		if got, err := appLink(ws, agent, slug); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("link of %s = %q, %v; want an error with %q", slug, got, err, want)
		}
	}
}
