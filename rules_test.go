// Package berth_test holds the rules of the house: what may import what, what
// the slim build may link, which sizes are signals. Each rule says its reason
// when it fails.
package berth_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

const module = "github.com/berthdev/berth/"

// layers gives each package its layer: it may import lower layers and, within
// its own, only packages below its folder. docs/architecture.md explains them.
var layers = map[string]int{
	"tailnet/proto": 0, "agent/proto": 0, "tailnet/derpmap": 0, "tailnet/wire": 0, "server/api": 0,
	"tailnet/netstack": 1, "derp": 1, "coordinator": 1, "coordinator/natsbus": 1,
	"agent/pty": 1, "agent/pty/screen": 1, "agent/pty/internal/record": 2, "agent/script": 1, "agent/files": 1, "agent/dotfiles": 1, "agent/process": 1, "agent/home": 1, "agent/health": 1, "agent/stats": 1,
	"server/store": 1, "server/provision": 1, "connect/sshclient": 1, "connect/resume": 1, "connect/speedtest": 1, "connect/diagnose": 1, "connect/bundle": 1, "connect/sshconfig": 1,
	"tailnet": 2, "agent/sshd": 2, "agent/sshd/sftp": 2, "server/auth": 2,
	"agent": 3, "agent/host": 3, "connect": 3, "connect/forward": 2, "server/apps": 3, "server/web": 3,
	"server": 4, "cmd/coder": 5,
}

// layer0Order lists the imports within layer 0: types come from protocols.
var layer0Order = map[string][]string{
	"agent/proto":     {"tailnet/proto"},
	"tailnet/derpmap": {"tailnet/proto"},
	"tailnet/wire":    {"tailnet/proto"},
	"server/api":      {"tailnet/derpmap", "tailnet/wire", "tailnet/proto"},
}

// outside are packages that no layer holds: helpers of tests and programs of
// developers.
var outside = []string{"tailnet/netlab", "coordinator/coordtest", "server/store/storetest", "scripts/", "e2e"}

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Doc        string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,Doc"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", args, err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func isOutside(name string) bool {
	for _, prefix := range outside {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func TestImportsGoDownwards(t *testing.T) {
	for _, p := range list(t, "./...") {
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours || isOutside(name) {
			continue
		}
		layer, known := layers[name]
		if !known {
			t.Errorf("package %s has no layer: add it to layers, and to docs/architecture.md", name)
			continue
		}
		for _, path := range p.Imports {
			dep, ours := strings.CutPrefix(path, module)
			if ours && !mayImport(name, layer, dep) {
				t.Errorf("%s (layer %d) imports %s (layer %d): imports go downwards only", name, layer, dep, layers[dep])
			}
		}
	}
}

func mayImport(name string, layer int, dep string) bool {
	if isOutside(dep) {
		return false
	}
	if layer == 0 {
		for _, allowed := range layer0Order[name] {
			if dep == allowed {
				return true
			}
		}
		return false
	}
	return layers[dep] < layer || layers[dep] == layer && strings.HasPrefix(dep, name+"/")
}

func TestEveryPackageSaysItsDuty(t *testing.T) {
	for _, p := range list(t, "./...") {
		if p.ImportPath+"/" == module || len(p.GoFiles) == 0 {
			continue
		}
		if len(p.Doc) < 40 {
			t.Errorf("%s has no package comment that says what it does", p.ImportPath)
		}
	}
}

// notInSlim is what the agent and the command line never link, and why.
var notInSlim = map[string]string{
	"modernc.org/sqlite":                  "8 MB of SQL that only the server needs",
	"github.com/jackc/pgx":                "the server's database",
	"github.com/uptrace/bun":              "the server's database",
	"github.com/pressly/goose":            "the server's migrations",
	"github.com/hashicorp/terraform-exec": "builds belong to the server and its workers",
	"github.com/hashicorp/hcl":            "builds belong to the server and its workers",
	"github.com/nats-io":                  "replicas belong to the server",
	"github.com/prometheus/client_golang": "metrics of the server",
	"html/template":                       "pages belong to the server; templates keep the linker from dropping dead code",
	"tailscale.com/derp/derpserver":       "the relay belongs to the server",
	"tailscale.com/ipn/ipnlocal":          "132k lines for nothing we use",
	"tailscale.com/wgengine/netstack":     "132k lines for nothing we use (its gro package is ours to use)",
	"testing":                             "tests",
	module + "server/store":               "the server",
	module + "server/auth":                "the server",
	"github.com/knadh/koanf":              "options of the server",
	"github.com/rogpeppe/go-internal":     "tests",
	"github.com/zalando/go-keyring":       "keyrings are those of macOS and Windows",
}

func TestSlimBuildLinksNoServer(t *testing.T) {
	for _, p := range list(t, "-deps", "-tags", slimTags(t), "./cmd/coder") {
		for banned, why := range notInSlim {
			below := strings.HasPrefix(p.ImportPath, strings.TrimSuffix(banned, "/")+"/")
			if p.ImportPath == banned || below && p.ImportPath != "tailscale.com/wgengine/netstack/gro" && banned != "testing" {
				t.Errorf("the slim build links %s: %s", p.ImportPath, why)
			}
		}
		if p.ImportPath == module+"server" {
			t.Error("the slim build links the server")
		}
	}
}

// TestSlimBuildDropsDeadCode looks for calls of methods by a name that is known
// only when they are made: one of them, as in text/template, and the linker
// keeps every exported method of every type, which is 5 MB of 25.
func TestSlimBuildDropsDeadCode(t *testing.T) {
	cmd := exec.Command("go", "build", "-o", filepath.Join(t.TempDir(), "coder"), "-tags", slimTags(t), "-ldflags", "-s -w -dumpdep", "./cmd/coder")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("build the slim binary: %v\n%.2000s", err, out)
	}
	if !bytes.Contains(out, []byte("main.main -> ")) {
		t.Fatal("the linker did not tell what refers to what: the test finds nothing")
	}
	for line := range strings.Lines(string(out)) {
		if from, to, _ := strings.Cut(line, " -> "); strings.Contains(to, "<ReflectMethod>") {
			t.Errorf("%s refers to %s, which calls methods by name", from, strings.TrimSpace(to))
		}
	}
}

// slimTags are those that the Makefile builds with.
func slimTags(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(name) == "SLIM_TAGS" {
			return strings.TrimSpace(value)
		}
	}
	t.Fatal("the Makefile sets no SLIM_TAGS")
	return ""
}

// maxLines is where a file must be split; at 500 it should have been.
const maxLines = 500

func TestFilesHaveOneSubject(t *testing.T) {
	for _, path := range goFiles(t) {
		if strings.HasSuffix(path, ".pb.go") {
			continue
		}
		if n := lines(t, path); n > maxLines {
			t.Errorf("%s has %d lines, more than %d: find its second subject and split it", path, n, maxLines)
		}
	}
}

func TestNoPackageIsABag(t *testing.T) {
	for _, path := range goFiles(t) {
		for _, bad := range []string{"util", "utils", "common", "helpers", "types", "pkg"} {
			if filepath.Base(filepath.Dir(path)) == bad {
				t.Errorf("%s: a package is named for what it gives, not %q", path, bad)
			}
		}
	}
}

// TestTestsDoNotSleepOrSkip finds waits by the clock and tests that may not
// run: wait for the event or use testing/synctest, and fail when a part is
// missing.
func TestTestsDoNotSleepOrSkip(t *testing.T) {
	fset := token.NewFileSet()
	for _, path := range goFiles(t) {
		if !strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		inBubble := importsPath(file, "testing/synctest")
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := sel.X.(*ast.Ident)
			switch {
			case x != nil && x.Name == "time" && sel.Sel.Name == "Sleep" && !inBubble:
				t.Errorf("%s sleeps: wait for the event, or use virtual time", fset.Position(n.Pos()))
			case x != nil && (x.Name == "t" || x.Name == "b") && (sel.Sel.Name == "Skip" || sel.Sel.Name == "Skipf" || sel.Sel.Name == "SkipNow"):
				t.Errorf("%s skips: a missing part is a failure", fset.Position(n.Pos()))
			}
			return true
		})
	}
}

func importsPath(file *ast.File, path string) bool {
	for _, imp := range file.Imports {
		if imp.Path.Value == `"`+path+`"` {
			return true
		}
	}
	return false
}

// TestRule1CryptoIsRecent is security rule 1 of the design: x/crypto before
// 0.56 has known holes in its SSH.
func TestRule1CryptoIsRecent(t *testing.T) {
	raw, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if r.Mod.Path == "golang.org/x/crypto" {
			if semver.Compare(r.Mod.Version, "v0.56.0") < 0 {
				t.Errorf("golang.org/x/crypto is %s, want v0.56.0 or newer", r.Mod.Version)
			}
			return
		}
	}
	t.Error("go.mod does not require golang.org/x/crypto, which agent/sshd is built on")
}

func goFiles(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func lines(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		n++
	}
	return n
}
