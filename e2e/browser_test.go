//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/berthdev/berth/tailnet/netlab"
)

// browser is a Chromium that reaches one server through a port of this machine.
type browser struct {
	t   *testing.T
	url string
	ctx context.Context
}

// browse starts a browser that is signed in nowhere. The server's host is in a
// namespace, the browser is not.
func (s *Server) browse(t *testing.T) *browser {
	t.Helper()
	return startBrowser(t, s.world, "http://"+s.doorway(t))
}

// startBrowser starts a browser for the pages below a URL, with more options.
func startBrowser(t *testing.T, w *World, url string, more ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	options := append(more, chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(w.Dir("chromium")), chromedp.WindowSize(1000, 700))
	for _, flag := range []string{
		"headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-quic", "disable-background-networking",
		"disable-component-update", "disable-sync",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, stop := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(options...))
	t.Cleanup(func() {
		defer stop()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("end of the browser: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // the browser lives as long as the context of the first call
		t.Fatalf("start chromium: %v", err)
	}
	return &browser{t: t, url: url, ctx: ctx}
}

func chromium(t *testing.T) string {
	t.Helper()
	const path = "/usr/bin/chromium"
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("this test needs Debian's chromium: %v", err)
	}
	return path
}

// doorway forwards a port of this machine, whose address it returns, to the server.
func (s *Server) doorway(t *testing.T) string {
	t.Helper()
	return doorway(t, s.Host, fmt.Sprintf("%v:%d", s.Host.Addr(), HTTPPort))
}

// doorway forwards a port of this machine to an address that a host reaches.
func doorway(t *testing.T, host *netlab.Host, address string) (here string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer near.Close()
				far, err := host.Dial(t.Context(), "tcp", address)
				if err != nil {
					return // who listens there is away
				}
				defer far.Close()
				defer context.AfterFunc(t.Context(), func() { near.Close() })()
				var back sync.WaitGroup
				back.Go(func() { _, _ = io.Copy(near, far); near.Close() })
				_, _ = io.Copy(far, near)
				far.Close()
				back.Wait()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return ln.Addr().String()
}

// do runs actions, each of which waits for what it needs.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.screenshot("failed")
		b.t.Fatalf("%s: %v", what, err)
	}
}

// screenshot keeps a picture of the page when BERTH_SCREENSHOTS names a
// directory.
func (b *browser) screenshot(name string) {
	dir := os.Getenv("BERTH_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("screenshot %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		b.t.Log(err)
	}
}

func (b *browser) signIn(path string) {
	b.t.Helper()
	b.do("sign in", chromedp.Navigate(b.url+path),
		chromedp.WaitVisible(`input[name=email]`),
		chromedp.SendKeys(`input[name=email]`, "admin@example.com"),
		chromedp.SendKeys(`input[name=password]`, "correct-horse-battery"),
		chromedp.Submit(`input[name=password]`))
}

func (b *browser) connected() {
	b.t.Helper()
	b.do("wait for the terminal", chromedp.WaitReady(`body[data-state=connected]`))
}

func (b *browser) typed(text string) {
	b.t.Helper()
	b.do("type "+text, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, r := range text {
			if err := press(ctx, t, r); err != nil {
				return err
			}
		}
		return nil
	}))
}

// press presses and releases one key. As with a keyboard, its text belongs to
// the key going down, so that a page that takes the key does not get the text
// as well: chromedp's own KeyEvent sends it apart.
func press(ctx context.Context, t *chromedp.Target, r rune) error {
	keys := kb.Encode(r)
	down, up := *keys[0], *keys[len(keys)-1]
	down.Text = string(r)
	for _, key := range []input.DispatchKeyEventParams{down, up} {
		if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, key); err != nil {
			return err
		}
	}
	return nil
}

// cells is every cell of the terminal with its attributes, and its cursor.
const cells = `(() => {
	const b = terminal.buffer.active, out = [b.cursorX + "," + b.cursorY + "/" + b.length];
	for (let y = 0; y < b.length; y++) {
		const line = b.getLine(y);
		let text = "";
		for (let x = 0; x < line.length; x++) {
			const c = line.getCell(x);
			text += c.getChars() + "|" + [c.getWidth(), c.getFgColor(), c.getBgColor(), c.isBold(), c.isItalic(), c.isUnderline(), c.isInverse()] + " ";
		}
		out.push(text);
	}
	return out.join("\n");
})()`

// text is what the terminal shows, and what it showed before.
const text = `(() => {
	const b = terminal.buffer.active, out = [];
	for (let y = 0; y < b.length; y++) out.push(b.getLine(y).translateToString(true));
	return out.join("\n");
})()`

func (b *browser) eval(js string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](js))
	if err != nil {
		b.t.Fatalf("read the page: %v", err)
	}
	return got
}

// becomes waits until an expression is true.
func (b *browser) becomes(js string) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool](js, chromedp.WithPollingInterval(20*time.Millisecond)))
	if err != nil {
		b.screenshot("failed")
	}
	return err
}

// mustShow waits until the terminal shows a text.
func (b *browser) mustShow(want string) {
	b.t.Helper()
	if err := b.becomes(fmt.Sprintf(`%s.includes(%q)`, text, want)); err != nil {
		b.t.Fatalf("the terminal does not show %q (%v); it shows\n%s", want, err, strings.TrimSpace(b.eval(text)))
	}
}

// TestBrowserTerminal lives through what a terminal in a browser has to: a
// reload, a second viewer at a command line, and a crash of the server.
func TestBrowserTerminal(t *testing.T) {
	m := newQuietMachine(t)
	m.server.Agent(m.host, "ws")
	b := m.server.browse(t)
	b.signIn("/@admin/ws/terminal")
	b.connected()
	b.typed("PS1='ready> '; clear; x=kept\r")
	b.mustShow("ready> ")
	b.typed(`printf '\033[1;31mred\033[0m \033[44mblue\033[0m \u4f60\u597d \U1F600 e\u0301 %s\n' $((40+2))` + "\r")
	b.mustShow("42\n")
	b.typed("seq 1 200; echo last-$x\r")
	b.mustShow("last-kept\n")

	before := b.eval(cells)
	b.screenshot("terminal")
	address := b.eval("location.href")
	if !strings.Contains(address, "?reconnect=") {
		t.Fatalf("address of the page = %s, want the id of the terminal in it", address)
	}
	b.do("reload", chromedp.Reload())
	b.connected()
	b.mustShow("last-kept\n")
	if after := b.eval(cells); after != before {
		t.Errorf("cells after a reload differ:\n%s", firstDifference(before, after))
	}

	laptop := m.user.screen(t, "terminal", "attach", "ws")
	laptop.mustShow("last-kept", patience)
	laptop.typed("echo from-the-laptop-$((1+1))\r")
	b.mustShow("from-the-laptop-2\n")
	b.typed("echo from-the-browser-$((1+2))\r")
	laptop.mustShow("from-the-browser-3", patience)
	laptop.typed("~.")
	laptop.mustEnd(0)

	b.typed("echo settled-$x\r")
	b.mustShow("settled-kept\n")
	before = b.eval(cells)
	m.server.Kill9()
	b.do("notice", chromedp.WaitReady(`body:not([data-state=connected])`))
	m.server.Restart()
	b.connected()
	b.mustShow("settled-kept\n")
	if after := b.eval(cells); after != before {
		t.Errorf("cells after a crash of the server differ:\n%s", firstDifference(before, after))
	}
	b.typed("echo $((100+1))-$x\r")
	b.mustShow("101-kept\n")

	second := m.user.screen(t, "terminal", "attach", "ws", "--new", "--", "printf '\\033]0;<img src=x onerror=document.body.dataset.bad=1>\\007'; exec sh -i")
	second.mustShow("# ", patience)
	b.do("list the terminals", chromedp.Click("#list"), chromedp.WaitVisible("#choices button"))
	b.screenshot("list")
	if got := b.eval(`document.querySelector("#choices").textContent`); !strings.Contains(got, "<img src=x") {
		t.Errorf("list of terminals = %q, want the title as it is", got)
	}
	b.do("attach", chromedp.Click("#choices button"))
	b.connected()
	b.typed("echo title=$((2+3))\r")
	b.mustShow("title=5\n")
	second.mustShow("title=5", patience)
	if got := b.eval(`String(document.body.dataset.bad) + document.querySelectorAll("img").length`); got != "undefined0" {
		t.Errorf("a title with markup became part of the page: %s", got)
	}
	b.typed("exit\r")
	b.do("end", chromedp.WaitReady(`body[data-state=ended]`), chromedp.WaitVisible("#overlay"))
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return fmt.Sprintf("line %d\nwas %s\nis  %s", i, as[i], bs[i])
		}
	}
	return fmt.Sprintf("%d lines, then %d", len(as), len(bs))
}

// TestBrowserAsksBeforeItRuns opens a link that names a command.
func TestBrowserAsksBeforeItRuns(t *testing.T) {
	m := newQuietMachine(t)
	m.server.Agent(m.host, "ws")
	b := m.server.browse(t)
	b.signIn("/@admin/ws.main/terminal?command=echo+ran-%24((3%2B3));exec+sh")
	b.do("be asked", chromedp.WaitVisible("#overlay"))
	b.screenshot("asked")
	if list := m.terminals(t); len(list) != 0 {
		t.Fatalf("terminals before the user agreed = %+v, want none", list)
	}
	b.do("agree", chromedp.Click("#actions .main"))
	b.connected()
	b.mustShow("ran-6\n")
}

// TestBrowserWaitsForScripts opens terminals while a start script runs that logins
// should wait for: one that waits, and one that does not.
func TestBrowserWaitsForScripts(t *testing.T) {
	m, home, token := configured(t, "startup_script_behavior: blocking\nstartup_script: until [ -e ~/go ]; do sleep 0.05; done")
	m.server.StartAgent(m.host, m.server.URL, token)
	b := m.server.browse(t)
	b.signIn("/@admin/ws/terminal")
	b.do("wait", chromedp.WaitReady(`body[data-state=waiting]`), chromedp.WaitVisible("#overlay"))
	b.screenshot("waiting")
	if got := b.eval(`document.querySelector("#overlay-text").textContent`); got != "Startup Script" {
		t.Errorf("the page waits for %q, want the script's name", got)
	}
	b.do("go on", chromedp.Click("#actions .main"))
	b.connected()
	b.do("again", chromedp.Navigate(b.url+"/@admin/ws/terminal?reconnect=6b4bb877-1c32-4029-b9fa-efa8c948d6d7"), chromedp.WaitReady(`body[data-state=waiting]`))
	touch(t, filepath.Join(home, "go"))
	b.connected()
}
