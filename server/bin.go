package server

import (
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
)

// maxDownload bounds one download: 25 MB in an hour is 7 kB/s.
const maxDownload = time.Hour

// binaries are the commands that clients and agents download. Clients know
// what they have by its SHA-1, which is what the protocol asks for.
type binaries struct {
	dir   string // of slim builds
	self  string // this executable, for its own platform when dir has none
	cache string // for compressed ones; empty: not compressed

	mu    sync.Mutex // guards below, and is held while hashing: once per file
	known map[string]*binary
}

// binary is a file as it was when it was read.
type binary struct {
	path    string
	size    int64
	modTime time.Time
	sha1    string // lower-case hex

	compress sync.Mutex // one at a time
}

func newBinaries(dir, cache string) *binaries {
	self, err := os.Executable()
	if err != nil {
		self = ""
	}
	return &binaries{dir: dir, self: self, cache: cache, known: map[string]*binary{}}
}

// names are all that may be asked for.
func binaryNames() map[string]bool {
	names := map[string]bool{}
	for os, archs := range platforms {
		for _, arch := range archs {
			names[binaryName(os, arch)] = true
		}
	}
	return names
}

// find returns the binary of that name, or an fs.ErrNotExist.
func (b *binaries) find(name string) (*binary, error) {
	path := filepath.Join(b.dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && name == binaryName(runtime.GOOS, runtime.GOARCH) && b.self != "" {
		path = b.self
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if have := b.known[name]; have != nil && have.path == path && have.size == info.Size() && have.modTime.Equal(info.ModTime()) {
		return have, nil
	}
	sum, err := hashFile(path)
	if err != nil {
		return nil, err
	}
	b.known[name] = &binary{path: path, size: info.Size(), modTime: info.ModTime(), sha1: sum}
	return b.known[name], nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha1.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// compressed opens the gzip form of a binary, which is made the first time.
func (b *binaries) compressed(bin *binary) (*os.File, error) {
	bin.compress.Lock()
	defer bin.compress.Unlock()
	path := filepath.Join(b.cache, bin.sha1+".gz")
	f, err := os.Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := compressFile(bin.path, path); err != nil {
		return nil, fmt.Errorf("compress %s: %w", bin.path, err)
	}
	return os.Open(path)
}

// compressFile writes the whole file or none: others may open it meanwhile.
func compressFile(from, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), "*.part")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // nothing after the rename
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	if err := errors.Join(err, z.Close(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}

// getBinary serves a download: whole, in ranges, or not at all when the client
// has it.
func (s *Server) getBinary(w http.ResponseWriter, r *http.Request) error {
	name := strings.ReplaceAll(chi.URLParam(r, "*"), "_", "-")
	if !binaryNames()[name] {
		return refuse(http.StatusNotFound, "There is no such binary.", "")
	}
	bin, err := s.binaries.find(name)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, "This server has no binary for this platform.", "")
	}
	if err != nil {
		return err
	}
	f, zipped, err := s.openBinary(r, bin)
	if err != nil {
		return err
	}
	defer f.Close()

	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", `"`+bin.sha1+`"`)
	h.Set("X-Original-Content-Length", strconv.FormatInt(bin.size, 10))
	h.Set("Vary", "Accept-Encoding")
	if info, err := f.Stat(); err == nil && zipped {
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	}
	allowSlow(w)
	http.ServeContent(w, r, "", bin.modTime, f)
	return nil
}

// openBinary opens what the client gets, compressed if it asks for that. A
// client with a part of the file wants the rest of the same.
func (s *Server) openBinary(r *http.Request, bin *binary) (f *os.File, zipped bool, err error) {
	if s.binaries.cache != "" && r.Header.Get("Range") == "" && acceptsGzip(r) {
		if f, err = s.binaries.compressed(bin); err == nil {
			return f, true, nil
		}
		s.log.Warn("binary not compressed", "binary", bin.path, "err", err)
	}
	f, err = os.Open(bin.path)
	return f, false, err
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, params, _ := strings.Cut(part, ";")
		q := strings.ReplaceAll(params, " ", "")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return !strings.HasPrefix(q, "q=0") || strings.Trim(q, "q=0.") != ""
		}
	}
	return false
}

// allowSlow gives a download more time than an answer of the API.
func allowSlow(w http.ResponseWriter) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // not supported: then there is none
	_ = rc.SetWriteDeadline(time.Now().Add(maxDownload))
}

// listBinaries names what can be downloaded.
func (s *Server) listBinaries(w http.ResponseWriter, _ *http.Request) error {
	var list []string
	for name := range binaryNames() {
		if _, err := s.binaries.find(name); err == nil {
			list = append(list, name)
		}
	}
	return s.page(w, http.StatusOK, "bin.html", pageData{Title: "Downloads", List: list})
}
