//go:build linux

package main

import "fmt"

// session is one program and what is typed into it.
type session struct {
	name, program string
	command       string
	cols, rows    int
	input         []string // keys, or "size:COLSxROWS"
}

// sizes are those in which most programs are recorded.
var sizes = [][2]int{{80, 24}, {132, 43}, {47, 15}}

// sessions returns all that is recorded.
func sessions() []session {
	var all []session
	add := func(name, program, command string, input ...string) {
		all = append(all, session{name, program, command, 80, 24, input})
	}
	for i, size := range sizes {
		for _, s := range programs() {
			s.name = fmt.Sprintf("%s-%d", s.name, i)
			s.cols, s.rows = size[0], size[1]
			all = append(all, s)
		}
	}
	resize := []string{"size:100x30", "size:60x20", "size:80x24"}
	add("vim-resize", "vim", "vim -n code.go", append(resize, "G", ":q!\r")...)
	add("vim-leave", "vim", "bash --norc -i", "echo before\r", "vim wide.txt\r", "20j", ":q!\r", "echo after\r", "vim code.go\r")
	add("bash-resize", "bash", "bash --norc -i", append(append([]string{"cat long.txt | head -20\r"}, resize...), "ls -la --color\r")...)
	add("tmux-resize", "tmux", "tmux -L r new", append(resize, "\x02%", "ls\r", "size:90x25")...)
	add("less-resize", "less", "less long.txt", append(resize, " ", " ", "G")...)
	add("mc-leave", "mc", "bash --norc -i", "mc\r", "\x1b[B\x1b[B", "\x1b[21~", "\r", "echo out\r")
	add("top-batch", "top", "top -b -n 1 | head -40")
	add("python", "python3", "python3 -q", "print('wide 漢字 ✅')\r", "[x*x for x in range(200)]\r", "1/0\r", "help(len)\r", "q", "for i in range(3): print(i)\r\r")
	add("scroll-10000", "seq", "seq 1 10400")
	add("scroll-wide", "seq", "seq 1 3000 | sed 's/$/ 漢字 ✅/'")
	return append(all, printed()...)
}

const (
	down, up, right, pageDown = "\x1b[B", "\x1b[A", "\x1b[C", "\x1b[6~"
	appDown, appRight         = "\x1bOB", "\x1bOC"
)

// programs are recorded in all sizes.
func programs() []session {
	p := func(name, program, command string, input ...string) session {
		return session{name: name, program: program, command: command, input: input}
	}
	return []session{
		p("vim", "vim", "vim -n code.go", "/func f7\r", "ddp", "iinserted text\r漢字\x1b", ":split wide.txt\r", "\x17\x17", "10\x05", ":vsplit\r", "Vjj", "d", "u", ":set list\r", "\x06", "\x02"),
		p("vim-wide", "vim", "vim -n wide.txt", "5j", "$", "x", "x", "o漢字👩\u200d🚀\x1b", ":%s/日本/にほん/g\r", "G", "gg", "20l", "rX", ":q!\r"),
		p("less", "less", "less code.go", " ", " ", "b", "/value 9\r", "n", "G", "g", "-S\r", "10j", "h", "q"),
		p("less-wide", "less", "less wide.txt", " ", "d", "G", "u", "-N\r", "50g", "q"),
		p("htop", "htop", "htop -d 5", down, down, "t", "\x1b[15~", "F", "/", "sh\r", "\x1b", "S", "\r", "h", "q"),
		p("top", "top", "top -d 1", "z", "x", "c", "1", "E", "V", "q"),
		p("tmux", "tmux", "tmux -L a$$ new 'bash --norc -i'", "ls --color tree\r", "\x02\"", "seq 100\r", "\x02%", "cat wide.txt | head -30\r", "\x02o", "\x02z", "\x02z", "\x02[", "\x1b[5~", "q", "\x02c", "vim code.go\r", "\x02p"),
		p("dialog-menu", "dialog", "dialog --menu 'Choose 漢字' 15 40 8 1 one 2 two 3 three 4 'four ✅'", appDown, appDown, "\t", "\t", "\r"),
		p("dialog-form", "dialog", "dialog --form title 15 40 4 name: 1 1 '' 1 10 20 20 city: 2 1 '' 2 10 20 20", "Jörg", appDown, "東京", "\t", "\r"),
		p("dialog-gauge", "dialog", "for i in 0 20 40 60 80 100; do echo $i; sleep 0.1; done | dialog --gauge working 8 40"),
		p("dialog-list", "dialog", "dialog --checklist pick 18 44 10 $(seq 1 20 | sed 's/.*/& item& off/')", " ", appDown, " ", appDown, appDown, " ", "\r"),
		p("whiptail", "whiptail", "whiptail --title T --yesno 'Are you sure? 漢字' 10 40", "\t", "\t", "\x1b[D", "\r"),
		p("nano", "nano", "nano code.go", "text\r", "\x17value\r", "\x0b", "\x15", pageDown, "\x07", "\x18", "\x18n"),
		p("mc", "mc", "mc -u tree .", down, down, "\r", "\t", down, "\x1b[13~", "\x1b[21~", "\x1b[20~", right, "\x1b\x1b"),
		p("git-log", "git", "git -C repo log --color -p", " ", " ", "/change\r", "n", "G", "q"),
		p("git-graph", "git", "git -C repo log --color --graph --oneline --all --stat", " ", "q"),
		p("tig", "tig", "cd repo && tig", down, "\r", pageDown, "q", "q"),
		p("man", "man", "man -P less bash", " ", " ", "/PARAMETERS\r", "n", "q"),
		p("w3m", "w3m", "w3m page.html", pageDown, "\t", "q", "y"),
		p("ncdu", "ncdu", "ncdu -0 tree", down, "\r", down, "i", "q", "q"),
		p("bash", "bash", "bash --norc -i", "ls -la --color=always tree\r", "echo 漢字 '👩\u200d🚀' e\u0301\r", "echo a very long command line that wraps around the edge of the terminal because it has many words in it", "\x01", "\x05", "\x1b[D\x1b[D\x1b[D\x08\x08", "X", "\x03", "\x12echo", "\x07", "clear\r", "printf 'a\\tb\\tc\\n'\r", "\x1b[A\x1b[A\x1b[B\r"),
		p("emacs", "emacs", "emacs -nw -q code.go", "\x13value", "\x13", "\x07", "\x182", "\x18o", "\x16", "\x16", "\x1b>", "\x180", "\x18\x03"),
		p("nnn", "nnn", "nnn tree", down, "\r", down, "q"),
		p("watch", "watch", "watch -n 0.3 -c -d 'date +%N; ls --color=always tree'", ""),
		p("vttest", "vttest", "vttest", "1\r", "\r", "\r", "\r", "\r", "\r", "\r", "0\r"),
		p("vttest-screen", "vttest", "vttest", "2\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r"),
		p("vttest-charsets", "vttest", "vttest", "3\r", "8\r", "\r", "0\r", "0\r"),
		p("vttest-insert", "vttest", "vttest", "8\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r", "\r"),
		p("vttest-colors", "vttest", "vttest", "11\r", "6\r", "2\r", "\r", "3\r", "\r", "\r", "4\r", "\r", "\r", "5\r", "\r", "\r"),
	}
}
