//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/berthdev/berth/tailnet/netlab"
)

// vscodeModules is where scripts/test-deps.sh puts VS Code's server, with its
// workbench and a Node.js.
const vscodeModules = "../build/vscode/node_modules"

// window is VS Code's workbench in a browser. What it asks of its server goes, as
// that of Remote-SSH does, through the dynamic forward of one ssh with the
// configuration of the extension.
type window struct {
	*browser
	ssh *netlab.Proc
}

// openWindow starts VS Code's server in the workspace and opens a file of a folder
// there.
func openWindow(t *testing.T, p *place, folder, file string) *window {
	t.Helper()
	e := newEditor(t, p, "vscode", "coder-vscode."+editorHost, nil, []string{"--disable-autostart", "--stdio", "--usage-app=vscode"}, "vscode")
	ssh, script, _ := e.start(t, "-D", "1080", e.host, "bash")
	if _, err := io.WriteString(script, startVSCode(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := ssh.WaitLine(within(t, patience), "listeningOn=="); err != nil {
		t.Fatalf("start VS Code's server: %v\n%s", err, ssh.Output())
	}
	address := marker.FindStringSubmatch(ssh.Output())[2]
	b := startBrowser(t, p.World, "http://"+address,
		chromedp.ProxyServer("socks5://"+doorway(t, p.client, "127.0.0.1:1080")),
		chromedp.Flag("proxy-bypass-list", "<-loopback>"))
	query := url.Values{"folder": {folder}, "payload": {fmt.Sprintf(`[["openFile","vscode-remote://%s%s"]]`, address, file)}}
	b.do("open the window",
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchSockets})
			return err
		}),
		chromedp.Navigate(b.url+"/?"+query.Encode()), chromedp.WaitVisible(".monaco-editor .view-line"))
	return &window{b, ssh}
}

// startVSCode is what the editor writes to bash.
func startVSCode(t *testing.T) string {
	t.Helper()
	modules, err := filepath.Abs(vscodeModules)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := filepath.Glob(modules + "/node-linux-*/bin/node")
	if err != nil || len(nodes) != 1 {
		t.Fatalf("this test needs VS Code's server in %s, where scripts/test-deps.sh puts it", modules)
	}
	return fmt.Sprintf(`mkdir -p ~/.vscode-server && cd ~/.vscode-server
nohup '%s' '%s/code-server/lib/vscode/out/server-main.js' --host 127.0.0.1 --port 0 --without-connection-token \
	--accept-server-license-terms --disable-workspace-trust --telemetry-level off --server-data-dir "$PWD" > log 2>&1 < /dev/null &
until grep -q '^Extension host agent listening' log; do sleep 0.05; done
echo "listeningOn==127.0.0.1:$(sed -n 's/^Extension host agent listening on //p' log)=="
exec cat
`, nodes[0], modules)
}

// watchSockets has the page count its WebSockets that end. VS Code itself makes the
// next one without a word, and tells of an outage after 40 s only.
const watchSockets = `window.ended = 0
window.WebSocket = class extends WebSocket {
	constructor(...args) {
		super(...args)
		this.addEventListener("close", () => ended++)
	}
}`

// control is the bit of the key Control (DevTools protocol, Input.dispatchKeyEvent).
const control = 2

// chord presses a key with Control held down.
func (w *window) chord(key, code string, keyCode int64) {
	w.t.Helper()
	w.do("press Control-"+key, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} {
			params := input.DispatchKeyEventParams{Type: kind, Modifiers: control, Key: key, Code: code, WindowsVirtualKeyCode: keyCode}
			if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, params); err != nil {
				return err
			}
		}
		return nil
	}))
}

// terminalText is what the rows of the window's terminal show.
const terminalText = `[...document.querySelectorAll(".terminal-wrapper.active .xterm-rows > div")].map(row => row.textContent.trimEnd()).join("\n")`

// mustAnswer runs a command in the terminal and waits for a line of its output.
func (w *window) mustAnswer(command, want string) {
	w.t.Helper()
	w.do("go to the terminal", chromedp.Click(".terminal-wrapper.active .xterm-screen"))
	w.typed(command + "\r")
	if err := w.becomes(fmt.Sprintf(`(%s).split("\n").includes(%q)`, terminalText, want)); err != nil {
		w.t.Fatalf("the terminal does not answer %q to %q (%v); it shows\n%s", want, command, err, w.eval(terminalText))
	}
}

// mustSave types words into the editor, saves, and looks at the file. It types no
// Enter, which is VS Code's to take for something else, as for a word it suggests.
func (w *window) mustSave(file, words, want string) {
	w.t.Helper()
	w.do("go to the text", chromedp.Click(".monaco-editor .view-lines"))
	w.chord("End", "End", 35)
	w.typed(words)
	w.do("see the words", chromedp.WaitReady(".tab.active.dirty"))
	w.chord("s", "KeyS", 83)
	w.do("save", chromedp.WaitReady(".tab.active:not(.dirty)"))
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		w.t.Errorf("the file after saving %q holds %q (%v), want %q", words, got, err, want)
	}
}

// TestVSCodeWindow works in a window of VS Code while all that may fail below it
// does: the text is saved, the shell is the same, and the window keeps its
// connections.
func TestVSCodeWindow(t *testing.T) {
	p := newPlace(t, netlab.EasyNAT, netlab.EasyNAT)
	folder := filepath.Join(p.Dir("box"), "project")
	file := filepath.Join(folder, "notes.txt")
	for path, text := range map[string]string{
		filepath.Join(folder, ".vscode", "settings.json"): `{"terminal.integrated.gpuAcceleration": "off", "workbench.startupEditor": "none", "files.autoSave": "off"}`,
		file: "first\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := openWindow(t, p, folder, file)
	w.chord("`", "Backquote", 192)
	w.mustAnswer("PS1='> '; clear; x=kept; echo begun-$((1+1))", "begun-2")

	text := "first\n"
	for i, step := range []struct {
		name string
		do   func()
	}{
		{"nothing", func() {}},
		{"the server is killed", p.server.Kill9},
		{"the server is back", p.server.Restart},
		{"the agent has crashed", func() { p.agent = restart(t, p.agent) }},
		{"the laptop is in another network", func() { p.client.MoveTo(p.Router("cafe", netlab.EasyNAT)) }},
		{"the network was away", func() {
			p.client.Link().Set(netlab.Conditions{Down: true})
			passes(t, 6*time.Second)
			p.client.Link().Set(netlab.Conditions{})
		}},
	} {
		step.do()
		began := time.Now()
		w.mustAnswer(fmt.Sprintf("echo $x-$((%d+1))", i), fmt.Sprint("kept-", i+1))
		words := step.name + "; "
		text += words
		w.mustSave(file, words, text)
		t.Logf("%s: the window answered and saved within %v", step.name, time.Since(began))
		if ended := w.eval("String(ended)"); ended != "0" {
			t.Errorf("%s: %s connections of the window have ended, want none", step.name, ended)
		}
	}
	w.screenshot("vscode")

	w.ssh.Kill9() // what is counted can happen
	if err := w.becomes("ended > 0"); err != nil {
		t.Errorf("connections of the window without ssh: %v, want an end of them", err)
	}
}
