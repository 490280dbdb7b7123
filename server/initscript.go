package server

import (
	"bytes"
	"embed"
	"net/http"
	"slices"
	"strings"
	"text/template"

	"github.com/go-chi/chi/v5"
)

//go:embed scripts
var scriptFiles embed.FS

// platforms are those that an agent can be made ready on.
var platforms = map[string][]string{
	"linux": {"amd64", "arm64", "armv7"}, "darwin": {"amd64", "arm64"}, "windows": {"amd64", "arm64"},
}

// scriptValues go into scripts. The URL was checked to have nothing but scheme
// and host, the file name is one of binaryName.
type scriptValues struct{ AccessURL, Binary string }

// getInitScript answers with the script that downloads the command and starts
// the agent. It holds no secret: the token comes by the environment.
func (s *Server) getInitScript(w http.ResponseWriter, r *http.Request) error {
	os, arch := chi.URLParam(r, "os"), chi.URLParam(r, "arch")
	if !slices.Contains(platforms[os], arch) {
		return refuse(http.StatusBadRequest, "Unknown operating system or architecture.",
			"There are linux, darwin and windows, amd64, arm64 and (linux) armv7.")
	}
	name := "scripts/agent.sh.tmpl"
	if os == "windows" {
		name = "scripts/agent.ps1.tmpl"
	}
	t, err := template.ParseFS(scriptFiles, name)
	if err != nil {
		return err
	}
	var script bytes.Buffer
	if err := t.Execute(&script, scriptValues{AccessURL: s.access.String(), Binary: binaryName(os, arch)}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(script.Bytes())
	return nil
}

// binaryName is the name of the command for a platform below /bin.
func binaryName(os, arch string) string {
	name := "coder-" + strings.ToLower(os) + "-" + strings.ToLower(arch)
	if os == "windows" {
		name += ".exe"
	}
	return name
}
