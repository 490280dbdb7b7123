//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// prepareHome puts what the sessions look at into dir.
func prepareHome(dir string) error {
	var code, wide, long strings.Builder
	for i := range 300 {
		fmt.Fprintf(&code, "// line %d\nfunc f%d(x int) string {\n\treturn \"value %d\" + strings.Repeat(\"=\", x)\n}\n", i, i, i*i)
		fmt.Fprintf(&wide, "%3d 漢字かな交じり文 %s 👩‍🚀 e\u0301 ❤️ 한국어 ✅ naïve\n", i, strings.Repeat("日本", i%20))
		fmt.Fprintf(&long, "%d %s\n", i, strings.Repeat("a long line that wraps ", i%17))
	}
	files := map[string]string{
		"code.go": "package main\n\n" + code.String(), "wide.txt": wide.String(), "long.txt": long.String(),
		"page.html": "<html><title>Seite</title><body><h1>Überschrift</h1><p>Some <b>bold</b> text, <a href='x'>a link</a>.</p>" +
			"<table border=1><tr><td>a</td><td>b</td></tr></table>" + strings.Repeat("<li>item</li>", 40) + "</body></html>",
		".vimrc":     "syntax on\nset number hlsearch laststatus=2 ruler showcmd termguicolors nomodeline\n",
		".tmux.conf": "set -g default-terminal tmux-256color\nset -g status-right ''\nset -g status-left 'ws '\nset -s escape-time 0\n",
		".bashrc":    "PS1='\\[\\e[1;32m\\]user@ws\\[\\e[0m\\]:\\w\\$ '\n",
		"data.json":  `{"name":"berth","list":[1,2,3,{"deep":true}],"text":"漢字"}`,
	}
	var errs []error
	for name, text := range files {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for i := range 60 {
		errs = append(errs, os.MkdirAll(filepath.Join(dir, "tree", fmt.Sprintf("dir%d", i%7), "sub"), 0o700),
			os.WriteFile(filepath.Join(dir, "tree", fmt.Sprintf("dir%d", i%7), fmt.Sprintf("file %d.txt", i)), []byte(strings.Repeat("x", i*100)), 0o600))
	}
	return errors.Join(append(errs, makeRepository(dir))...)
}

// makeRepository commits some changes to a repository named repo.
func makeRepository(dir string) error {
	script := `git init -q repo && cd repo && git config user.name User && git config user.email user@example.com &&
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  head -$((i*20)) ../code.go > code.go; sed -i "s/line $i/changed $i/" code.go; git add code.go
  GIT_AUTHOR_DATE="2026-01-0$((i%9+1))T00:00:00Z" GIT_COMMITTER_DATE="2026-01-0$((i%9+1))T00:00:00Z" git commit -q -m "change $i: ✅ something"
done; git branch -q side HEAD~5; sed -i 's/return/yield/' code.go`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}
