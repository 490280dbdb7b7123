//go:build linux

package main

// printed are sessions of shell commands that print what programs with progress
// bars, colours and wide text do.
func printed() []session {
	sh := func(name string, cols, rows int, script string) session {
		return session{name, "bash", "bash --norc -c '" + script + "'", cols, rows, nil}
	}
	return []session{
		sh("progress-cr", 80, 24, `for i in $(seq 0 5 100); do printf "\r[%-20s] %3d%%" "$(printf "#%.0s" $(seq 0 $((i/5))))" $i; sleep 0.01; done; echo`),
		sh("progress-el", 60, 10, `for i in $(seq 30); do printf "\r\e[K\e[32m%s\e[0m step %d" "⠋⠙⠹⠸" $i; sleep 0.01; done; echo`),
		sh("progress-multi", 80, 24, `for i in 1 2 3 4; do echo "layer $i: waiting"; done; for n in $(seq 20); do for i in 1 2 3 4; do printf "\e[%dA\e[2K\rlayer %d: %s>\e[%dB\r" $((5-i)) $i "$(printf "=%.0s" $(seq $((n*i/2))))" $((5-i)); done; sleep 0.01; done`),
		sh("progress-apt", 80, 24, `printf "\n\e7\e[0;23r\e8\e[1A"; for i in $(seq 10); do echo "Unpacking package-$i (1.$i) ..."; printf "\e7\e[24;0f\e[42m\e[30mProgress: [%3d%%]\e[49m\e[39m [%-40s] \e8" $((i*10)) "$(printf "#%.0s" $(seq $((i*4))))"; sleep 0.01; done; printf "\n\e7\e[0;24r\e8\e[1A\e[J"`),
		sh("progress-pip", 100, 20, `for i in $(seq 40); do printf "\r   \e[38;5;237m━\e[0m\e[38;2;249;38;114m%s\e[0m %d/40 MB" "$(printf "━%.0s" $(seq $i))" $i; done; printf "\e[?25h\n"`),
		sh("colors-16", 80, 24, `for f in $(seq 30 37) $(seq 90 97); do for b in $(seq 40 47) $(seq 100 107); do printf "\e[%d;%dm x " $f $b; done; printf "\e[0m\n"; done`),
		sh("colors-256", 80, 24, `for i in $(seq 0 255); do printf "\e[48;5;%dm%4d\e[0m" $i $i; ((i%16==15)) && echo; done`),
		sh("colors-true", 76, 20, `for i in $(seq 0 75); do printf "\e[48;2;%d;%d;%dm\e[38;2;%d;0;9m~\e[0m" $((255-i*3)) $((i*3)) $((i)) $i; done; echo`),
		sh("attributes", 80, 24, `for a in 1 2 3 4 5 7 8 9 21 53 "4:3" "4:4" "4:5" "4;58;5;9" "4:3;58:2::255:0:9"; do printf "\e[%smattribute %s\e[0m plain\n" "$a" "$a"; done`),
		sh("links", 80, 24, `for i in $(seq 20); do printf "\e]8;;http://example.com/%d\e\\\\link %d\e]8;;\e\\\\ text \e]8;id=a;file:///tmp\e\\\\part\e]8;;\e\\\\\n" $i $i; done; ls --hyperlink=always --color=always -la tree`),
		sh("wide-wrap", 31, 12, `cat wide.txt | head -25`),
		sh("wide-overwrite", 40, 10, `printf "漢字漢字漢字\r\e[2Cx\e[5Cy\n👍🏽👩‍🚀🇩🇪\b\bz\n"; for i in $(seq 12); do printf "\e[%dG漢" $((i*3)); done; printf "\e[10G\e[2P\e[5G\e[2@\e[3X"`),
		sh("combining", 40, 12, `printf "e\u0301a\u0308\u0323 ก็ ิ \u0301 z\u0336a\u0336l\u0336g\u0336o\u0336 ❤️ ☎️ 1️⃣ \u200bx\n"; cat wide.txt | head -8`),
		sh("box-drawing", 60, 16, `printf "\e(0lqqqqqk\n\rx     x\n\rmqqqqqj\e(B plain \e)0\x0etqu\x0f\n┌──┬──┐\n│漢│字│\n└──┴──┘\n"`),
		sh("tput", 80, 24, `tput smcup; tput clear; tput cup 5 10; tput bold; echo bold; tput setaf 3; tput cup 10 20; echo yellow; tput sgr0; tput csr 3 12; tput cup 12 0; for i in 1 2 3 4 5; do echo "line $i"; done; tput ri; tput il 2; tput dl 1; tput ech 5; tput sc; tput cup 20 5; echo there; tput rc; echo back; tput civis`),
		sh("tput-leave", 80, 24, `seq 40; tput smcup; echo inside; tput cup 3 3; echo more; tput rmcup; tput cnorm; echo outside`),
		sh("regions", 50, 14, `seq 30; printf "\e[3;8r\e[8;1Ha\nb\nc\e[3;1H\eM\eMtop\e[?6h\e[2;2Horigin\e[?6l\e[r\e[14;1Hend"`),
		sh("tabs", 70, 10, `printf "a\tb\tc\n\e[3g\e[5G\eH\e[20G\eH\r1\t2\t3\n\e[2Iback\e[Zx\n"`),
		sh("titles", 80, 24, `printf "\e]0;title ✅\a\e[22;0t\e]2;second 漢字\e\\\\text\e[22;2t\e]1;icon\a\e[23;2t"`),
		sh("modes", 80, 24, `printf "\e[?1h\e=\e[?1002h\e[?1006h\e[?2004h\e[?1004h\e[4 q\e[?25l\e[4hinsert\e[3Dxx\e[4l\e[?7lno wrap %s" "$(seq -s" " 60)"`),
		sh("pending-wrap", 20, 6, `printf "12345678901234567890"`),
		sh("pending-wrap-color", 20, 6, `printf "\e[44m12345678901234567890\e[m"`),
		sh("erase-color", 40, 12, `seq 20; printf "\e[41m\e[5;5H\e[K\e[7;10H\e[1K\e[J\e[3;1H\e[2K\e[42m\n\n\n\e[3L\e[m"`),
		sh("sync", 60, 12, `for i in $(seq 10); do printf "\e[?2026h\e[H\e[2Jframe %d\n%s\e[?2026l" $i "$(seq $i)"; done; printf "\e[?2026hhalf"`),
		sh("rep", 60, 12, `printf "x\e[20b漢\e[5b\n-\e[100b\n"`),
		sh("queries", 80, 24, `printf "\e[c\e[6n\e[>c\e[?25\$p\e]11;?\a\eP\$qm\e\\\\text\e[>q\e[?u"`),
		sh("strings", 80, 24, `printf "a\ePq#0;2;0;0;0~~@@\e\\\\b\e_Gf=100;AAAA\e\\\\c\e]52;c;aGVsbG8=\ad\e^pm\e\\\\e\eXsos\e\\\\f"`),
		sh("invalid", 80, 24, `printf "a\xffb\xc3(c\xe2\x82d\xf0\x9f\x98e\xc0\xafok \xed\xa0\x80 \xef\xbb\xbf."`),
		sh("long-lines", 37, 12, `cat long.txt | head -40`),
		sh("jq", 60, 20, `jq -C . data.json`),
		sh("aligned", 30, 8, `printf "\e#8\e[3;3H\e[4P\e[5;5H\e[4@\e[2M"`),
	}
}
