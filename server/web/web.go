// Package web is the pages that need a script: the terminal of a workspace in
// the browser. All of it is embedded, nothing is built, nothing is loaded from
// elsewhere.
//
// The package knows no requests beyond its own files: who may see a page, and
// of what, the server decides before it calls Terminal.
package web

import (
	"bytes"
	"cmp"
	"embed"
	"html/template"
	"net/http"

	"github.com/google/uuid"
)

//go:embed *.html *.js *.css vendor/*.js vendor/*.css
var files embed.FS

// policy lets the page use our own scripts, our own API and WebSockets, and
// nothing else. xterm.js measures and colours with style elements that it makes.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// TerminalPage is what the page of a terminal is told. All of it is shown as
// text.
type TerminalPage struct {
	Owner     string
	Workspace string
	Agent     string
	AgentID   uuid.UUID

	// Problem, when set, is shown in place of a terminal: why there is none.
	Problem string
	// Advice says what to do about it.
	Advice string
	// Status is that of the answer; 0 means 200.
	Status int
}

// Terminal answers with the page of a terminal.
func Terminal(w http.ResponseWriter, page TerminalPage) error {
	t, err := template.ParseFS(files, "terminal.html")
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := t.Execute(&body, page); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer") // the address names a terminal and a command
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(cmp.Or(page.Status, http.StatusOK))
	_, _ = w.Write(body.Bytes()) // an error means that nobody reads
	return nil
}

// Assets serves the scripts and styles of the pages, below the path that it is
// mounted on without its prefix.
func Assets() http.Handler {
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // a newer server has newer ones: ask
		w.Header().Set("X-Content-Type-Options", "nosniff")
		serve.ServeHTTP(w, r)
	})
}
