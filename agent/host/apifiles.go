//go:build linux

package host

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/berthdev/berth/agent/files"
)

// mayTransfer reports whether files may be transferred at all, and answers when
// they may not.
func (p *parts) mayTransfer(w http.ResponseWriter) bool {
	if p.blockFileTransfer {
		sayNo(w, http.StatusForbidden, "file transfers are blocked in this workspace", "")
	}
	return !p.blockFileTransfer
}

// path resolves the path of a request against the home of a login, and answers when
// that cannot be done.
func (p *parts) path(w http.ResponseWriter, r *http.Request, given string) (path string, ok bool) {
	home := ""
	if strings.HasPrefix(given, "~") {
		home = p.home(r)
	}
	path, err := files.Resolve(given, home)
	if err != nil {
		refuse(w, err)
	}
	return path, err == nil
}

// home is the home directory of a login.
func (p *parts) home(r *http.Request) string {
	home := "/"
	for _, entry := range p.ssh.Shell(r.Context()).Env {
		if dir, is := strings.CutPrefix(entry, "HOME="); is && dir != "" {
			home = dir
		}
	}
	return home
}

// listDirectory answers with a files.Listing. With the relativity "home" a path that
// is not absolute, "" included, is below the home directory.
func (p *parts) listDirectory(w http.ResponseWriter, r *http.Request) {
	var req struct{ Path, Relativity string }
	if !p.mayTransfer(w) || !decode(w, r, &req) {
		return
	}
	switch {
	case req.Relativity != "" && req.Relativity != "root" && req.Relativity != "home":
		sayNo(w, http.StatusBadRequest, "relativity is root or home", "")
		return
	case req.Relativity == "home" && !strings.HasPrefix(req.Path, "/") && !strings.HasPrefix(req.Path, "~"):
		req.Path = "~/" + req.Path
	}
	path, ok := p.path(w, r, req.Path)
	if !ok {
		return
	}
	list, err := files.List(path)
	answerOr(w, list, err)
}

// readFile answers with the bytes of a file, and with the size of all of it in the
// header sizeHeader.
func (p *parts) readFile(w http.ResponseWriter, r *http.Request) {
	path, offset, limit, ok := p.rangeOf(w, r)
	if !ok {
		return
	}
	part, err := files.Open(path, offset, limit)
	if err != nil {
		refuse(w, err)
		return
	}
	defer part.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set(sizeHeader, strconv.FormatInt(part.Size, 10))
	if _, err := io.Copy(w, part); err != nil {
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

// sizeHeader has the size of a file, of which an answer may bring a part, in bytes.
const sizeHeader = "Berth-File-Size"

func (p *parts) readFileLines(w http.ResponseWriter, r *http.Request) {
	path, first, count, ok := p.rangeOf(w, r)
	if !ok {
		return
	}
	lines, err := files.ReadLines(path, int(first), int(count))
	answerOr(w, lines, err)
}

// rangeOf reads which part of which file is asked for, and answers when that is not
// clear.
func (p *parts) rangeOf(w http.ResponseWriter, r *http.Request) (path string, offset, limit int64, ok bool) {
	if !p.mayTransfer(w) {
		return
	}
	query := r.URL.Query()
	for name, into := range map[string]*int64{"offset": &offset, "limit": &limit} {
		if !query.Has(name) {
			continue
		}
		n, err := strconv.ParseInt(query.Get(name), 10, 64)
		if err != nil {
			sayNo(w, http.StatusBadRequest, name+" is a number", err.Error())
			return
		}
		*into = n
	}
	path, ok = p.path(w, r, query.Get("path"))
	return path, offset, limit, ok
}

// written says what a file has now.
type written struct {
	Path string `json:"path"`
	Size int64  `json:"size_bytes"`
}

// writeFile makes a file have the body of the request; parents=true makes the
// directories that it needs.
func (p *parts) writeFile(w http.ResponseWriter, r *http.Request) {
	if !p.mayTransfer(w) {
		return
	}
	path, ok := p.path(w, r, r.URL.Query().Get("path"))
	if !ok {
		return
	}
	size, err := files.Write(path, http.MaxBytesReader(w, r.Body, files.MaxWrite), r.URL.Query().Get("parents") == "true")
	answerOr(w, written{path, size}, err)
}

// editFiles answers with what was replaced.
func (p *parts) editFiles(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Files []files.FileEdits `json:"files"`
	}
	if !p.mayTransfer(w) || !decode(w, r, &req) {
		return
	}
	for i := range req.Files {
		path, ok := p.path(w, r, req.Files[i].Path)
		if !ok {
			return
		}
		req.Files[i].Path = path
	}
	edited, err := files.EditAll(req.Files)
	answerOr(w, map[string]any{"files": edited}, err)
}
