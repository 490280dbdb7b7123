package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestDownloads(t *testing.T) {
	dir := t.TempDir()
	content := bytes.Repeat([]byte("a binary, more or less. "), 1000)
	for _, name := range []string{"coder-linux-arm64", "coder-windows-amd64.exe"} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := start(t, Config{BinDir: dir})
	sum := sha1.Sum(content)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	identity := []string{"Accept-Encoding", "identity"}

	for _, path := range []string{"/bin/coder-linux-arm64", "/bin/coder_linux_arm64", "/bin/coder-windows-amd64.exe"} {
		a := d.call("GET", path, "", "", identity...)
		if a.StatusCode != http.StatusOK || !bytes.Equal(a.body, content) {
			t.Errorf("GET %s = %d, %d bytes", path, a.StatusCode, len(a.body))
		}
		for name, want := range map[string]string{
			"ETag": etag, "Content-Type": "application/octet-stream", "X-Original-Content-Length": strconv.Itoa(len(content)),
			"Content-Length": strconv.Itoa(len(content)),
		} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("GET %s: %s = %q, want %q", path, name, got, want)
			}
		}
	}
	path := "/bin/coder-linux-arm64"
	for match, want := range map[string]int{etag: http.StatusNotModified, `""`: http.StatusOK, `"00"`: http.StatusOK} {
		if a := d.call("GET", path, "", "", "If-None-Match", match, "Accept-Encoding", "gzip"); a.StatusCode != want || want == http.StatusNotModified && len(a.body) > 0 {
			t.Errorf("GET with If-None-Match %s = %d and %d bytes, want %d", match, a.StatusCode, len(a.body), want)
		}
	}
	if a := d.call("GET", path, "", "", "Range", "bytes=2-7", "Accept-Encoding", "gzip"); a.StatusCode != http.StatusPartialContent || string(a.body) != "binary" {
		t.Errorf("GET of a range = %d %q", a.StatusCode, a.body)
	}
	if a := d.call("HEAD", path, "", "", identity...); a.StatusCode != http.StatusOK || a.Header.Get("ETag") != etag || a.ContentLength != int64(len(content)) {
		t.Errorf("HEAD = %d %v", a.StatusCode, a.Header)
	}
	for range 2 { // the second time from the cache
		a := d.call("GET", path, "", "", "Accept-Encoding", "gzip")
		z, err := gzip.NewReader(bytes.NewReader(a.body))
		if err != nil {
			t.Fatalf("GET with gzip: %v", err)
		}
		if raw, err := io.ReadAll(z); err != nil || !bytes.Equal(raw, content) || len(a.body) >= len(content) {
			t.Errorf("GET with gzip: %d bytes of %d, %v", len(a.body), len(content), err)
		}
		if a.Header.Get("Content-Encoding") != "gzip" || a.Header.Get("ETag") != etag || a.Header.Get("X-Original-Content-Length") != strconv.Itoa(len(content)) {
			t.Errorf("GET with gzip: headers %v", a.Header)
		}
	}
	if a := d.call("GET", "/bin/coder-darwin-arm64", "", ""); a.StatusCode != http.StatusNotFound {
		t.Errorf("GET of a binary that is not there = %d, want 404", a.StatusCode)
	}
	if a := d.call("GET", "/bin/", "", ""); !strings.Contains(string(a.body), "coder-linux-arm64") {
		t.Errorf("GET /bin/ = %d %s", a.StatusCode, a.body)
	}
	// A new build in place of the old one.
	if err := os.WriteFile(filepath.Join(dir, "coder-linux-arm64"), []byte("newer"), 0o755); err != nil {
		t.Fatal(err)
	}
	if a := d.call("GET", path, "", "", "If-None-Match", etag, "Accept-Encoding", "identity"); a.StatusCode != http.StatusOK || string(a.body) != "newer" {
		t.Errorf("GET of a new build = %d, %d bytes", a.StatusCode, len(a.body))
	}
}

func TestOwnExecutableIsServed(t *testing.T) {
	d := start(t, Config{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err := hashFile(self)
	if err != nil {
		t.Fatal(err)
	}
	a := d.call("HEAD", "/bin/"+binaryName(runtime.GOOS, runtime.GOARCH), "", "")
	if a.StatusCode != http.StatusOK || a.Header.Get("ETag") != `"`+want+`"` {
		t.Errorf("HEAD of the own platform = %d, ETag %s, want that of the test binary", a.StatusCode, a.Header.Get("ETag"))
	}
}

// The script downloads the binary and becomes the agent, with whatever the
// machine has for downloads.
func TestInitScript(t *testing.T) {
	dir := t.TempDir()
	agent := "#!/bin/sh\n[ \"$1\" = version ] && exit 0\necho \"$@ $CODER_AGENT_URL $CODER_AGENT_TOKEN\"\n"
	if err := os.WriteFile(filepath.Join(dir, "coder-linux-amd64"), []byte(agent), 0o755); err != nil {
		t.Fatal(err)
	}
	d := start(t, Config{BinDir: dir})
	script := d.call("GET", "/api/v2/init-script/linux/amd64", "", "")
	if script.StatusCode != http.StatusOK || !strings.HasPrefix(script.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("GET init-script = %d %v", script.StatusCode, script.Header)
	}
	for _, tool := range []string{"curl", "wget"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Errorf("%s is missing: apt-get install %s", tool, tool)
			continue
		}
		path := onlyTool(t, tool)
		cmd := exec.CommandContext(t.Context(), "/bin/sh")
		cmd.Stdin = bytes.NewReader(script.body)
		cmd.Env = []string{"PATH=" + path, "HOME=" + t.TempDir(), "CODER_AGENT_TOKEN=secret"}
		out, err := cmd.CombinedOutput()
		if want := fmt.Sprintf("agent %s secret\n", d.URL()); err != nil || string(out) != want {
			t.Errorf("script with %s: %q, %v, want %q", tool, out, err, want)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh")
	cmd.Stdin = bytes.NewReader(script.body)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "CODER_AGENT_TOKEN is not set") {
		t.Errorf("script without a token: %q, %v, want a failure that says so", out, err)
	}
	win := d.call("GET", "/api/v2/init-script/windows/amd64", "", "")
	if win.StatusCode != http.StatusOK || !strings.Contains(string(win.body), "/bin/coder-windows-amd64.exe") && !strings.Contains(string(win.body), "coder-windows-amd64.exe") {
		t.Errorf("GET init-script for windows = %d %s", win.StatusCode, win.body)
	}
}

// onlyTool is a PATH with one tool for downloads and what a script needs.
func onlyTool(t *testing.T, tool string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{tool, "mkdir", "chmod", "rm", "mv", "id", "sleep", "sh"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("%s is missing", name)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP, deflate": true, "identity": false, "gzip;q=0": false, "gzip; q=0.000": false,
		"gzip;q=0.5": true, "deflate, gzip;q=1.0, *;q=0.5": true,
	} {
		r := &http.Request{Header: http.Header{"Accept-Encoding": {header}}}
		if got := acceptsGzip(r); got != want {
			t.Errorf("acceptsGzip(%q) = %v, want %v", header, got, want)
		}
	}
}
