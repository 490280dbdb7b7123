//go:build linux

package home

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

func TestCleanPath(t *testing.T) {
	long := strings.Repeat("x", maxPath)
	for declared, want := range map[string]string{
		".rc": ".rc", ".tool/": ".tool/", "~/.rc": ".rc", "/home/coder/.rc": ".rc", "/home/coder/a/b/": "a/b/",
		"foo..bar": "foo..bar", "..a/b..": "..a/b..", "...": "...", "a b/c": "a b/c", "ä/日本": "ä/日本", "a~b": "a~b", long: long,
	} {
		got, dir, err := cleanPath(declared, "/home/coder")
		if dir {
			got += "/"
		}
		if err != nil || got != want {
			t.Errorf("cleanPath(%q) = %q, %v, want %q", declared, got, err, want)
		}
	}
	for _, declared := range []string{
		"", "/", "~", "~/", ".", "./", "..", "../x", "a/../b", "a/..", "./a", "a/./b", "a/.", "a//b", "a//", "//a", "/etc/passwd",
		"/home/coder", "/home/coder/", "/home/coder/../x", "/home/coder2/x", "~root", "~root/x", "~/~x", "~/../x", "~//x",
		"a\nb", "a\x00b", "\x7f", "a\x1b[0m", "a\u0085b", "a\xffb", long + "x", strings.Repeat("a/", 80) + "a",
		".home-persist", ".home-persist/lock", ".workspaces/ws/x", "~/.workspaces", "a/.home-persist.12345678.b",
	} {
		if got, _, err := cleanPath(declared, "/home/coder"); err == nil {
			t.Errorf("cleanPath(%q) = %q, want it to be refused", declared, got)
		}
	}
	if got, _, err := cleanPath("/etc/passwd", ""); err == nil {
		t.Errorf("cleanPath without a home = %q, want it to be refused", got)
	}
}

func TestEscape(t *testing.T) {
	for _, p := range []string{".config/rtk", "a%2Fb", "100%/x%25"} {
		if got := unescape(escape(p)); got != p || strings.Contains(escape(p), "/") {
			t.Errorf("unescape(escape(%q)) = %q", p, got)
		}
	}
}

func TestParse(t *testing.T) {
	p := &parser{name: "tool.json", home: "/home/coder"}
	got, err := p.parse([]byte(`{"version":1,"source":"s","scope":"workspace","colour":1,"paths":[
		".rc", ".dir/", {"path":"~/.x","type":"dir","mode":"0750","seed":"none","conflict":"merge","size":1}]}`))
	want := []declaration{
		{path: ".rc", scope: Workspace, source: "s", mode: 0o700},
		{path: ".dir", dir: true, scope: Workspace, source: "s", mode: 0o700},
		{path: ".x", dir: true, scope: Workspace, source: "s", mode: 0o750, noSeed: true, merge: true},
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("parse = %+v, %v, want %+v", got, err, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("path %d = %+v, want %+v", i, got[i], want[i])
		}
	}
	if len(p.lines) != 2 || !strings.Contains(p.lines[0].Detail, `"colour"`) || !strings.Contains(p.lines[1].Detail, `"size"`) {
		t.Errorf("warnings = %v, want one for each unknown key", p.lines)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, raw := range []string{
		``, `[]`, `"x"`, `null`, `{}`, `{"paths":null}`, `{"paths":"x"}`, `{"version":2,"paths":[]}`, `{"scope":"all","paths":[]}`,
		`{"Paths":[".x"]}`, `{"source":1,"paths":[]}`, `{"paths":[".x"]} {}`, `{"paths":[` + strings.Repeat(`"a",`, maxPaths) + `"a"]}`,
	} {
		p := &parser{name: "x.json", home: "/home/coder"}
		if got, err := p.parse([]byte(raw)); err == nil {
			t.Errorf("parse(%.60s) = %v, want an error", raw, got)
		}
	}
	for _, path := range []string{
		`1`, `null`, `[]`, `{}`, `{"path":".x","type":"link"}`, `{"path":".x/","type":"file"}`, `{"path":".x","mode":"0700"}`,
		`{"path":".x/","mode":"0070"}`, `{"path":".x/","mode":"1777"}`, `{"path":".x/","mode":"rwx"}`, `{"path":".x","conflict":"merge"}`,
		`{"path":".x","conflict":"home"}`, `{"path":".x","seed":"move"}`, `{"path":["x"]}`,
	} {
		p := &parser{name: "x.json", home: "/home/coder"}
		got, err := p.parse([]byte(`{"paths":[` + path + `,".good"]}`))
		if err != nil || len(got) != 1 || got[0].path != ".good" || len(p.lines) == 0 || p.lines[len(p.lines)-1].Action != Rejected {
			t.Errorf("parse of path %s = %+v, %v, %v, want it rejected and the next one taken", path, got, err, p.lines)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":1,"source":"s","scope":"workspace","paths":["~/.rc",".dir/",{"path":".x","type":"dir","mode":"0750","seed":"none","conflict":"merge"}]}`))
	f.Add([]byte(`{"paths":["../x","a//b","/home/coder/x","~root/x","a\u0000b","\ud800"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := &parser{name: "x.json", home: "/home/coder"}
		all, err := p.parse(raw)
		if err != nil && all != nil {
			t.Errorf("parse = %v and the error %v", all, err)
		}
		for _, d := range all {
			checkDeclaration(t, d)
		}
		for _, l := range p.lines {
			if strings.ContainsFunc(l.String(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("a line has more than text: %q", l.String())
			}
		}
	})
}

func checkDeclaration(t *testing.T, d declaration) {
	t.Helper()
	switch {
	case !filepath.IsLocal(d.path) || d.path == "." || filepath.Clean(d.path) != d.path:
		t.Errorf("path %q is not below the home", d.path)
	case strings.ContainsFunc(d.path, unicode.IsControl):
		t.Errorf("path %q has control characters", d.path)
	case d.scope != Owner && d.scope != Workspace:
		t.Errorf("scope %q", d.scope)
	case d.merge && !d.dir || d.mode&^0o777 != 0 || d.mode&0o700 != 0o700:
		t.Errorf("declaration %+v", d)
	case unescape(escape(d.path)) != d.path || len(aside(filepath.Base(d.path))) > 255:
		t.Errorf("path %q has no name in the backups, or none to be put aside", d.path)
	}
}

func TestCheck(t *testing.T) {
	l := newBareLab(t)
	l.declare("tool", Owner, ".rc", ".dir/")
	file := filepath.Join(l.cfg.Manifests, "tool.json")
	check := func(want Code, words string) {
		t.Helper()
		lines, code := Check(file, l.cfg.Home)
		l.lines = lines
		if code != want || words != "" && !strings.Contains(l.log(), words) {
			t.Errorf("Check = %d, want %d and %q:\n%s", code, want, words, l.log())
		}
	}
	check(OK, "")
	l.declare("tool", Owner, ".rc", "../x")
	check(Partial, `error rejected path=../x source=tool`)
	l.declare("tool", Owner, ".file", ".file/x")
	check(Partial, "is a file")
	must(t, os.WriteFile(file, []byte("{"), 0o600))
	check(Invalid, "not a JSON object")
	must(t, os.WriteFile(file, make([]byte, maxManifest+1), 0o600))
	check(Invalid, "is larger than")
	must(t, os.Remove(file))
	check(Invalid, "no such file")
}

// TestCheckFindsWhatRootMade needs root, as image builds have it.
func TestCheckFindsWhatRootMade(t *testing.T) {
	l := newBareLab(t)
	l.declare("tool", Owner, ".dir/", ".missing/x")
	l.home(".dir/sub/x", "X")
	if err := os.Chown(l.cfg.Home, 65534, 65534); err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	lines, code := Check(filepath.Join(l.cfg.Manifests, "tool.json"), l.cfg.Home)
	l.lines = lines
	if code != Partial {
		t.Errorf("Check of a home with files of root = %d, want %d:\n%s", code, Partial, l.log())
	}
	l.logged("error error", "path=.dir", "belongs to user 0, and the home to user 65534")
}
