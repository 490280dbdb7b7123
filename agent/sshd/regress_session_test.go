//go:build linux

package sshd

// sessionCases are about commands, shells and terminals.
var sessionCases = []regress{
	{name: "exit-status", about: "exit codes 0 to 255, also after stdout and stderr were closed early", bash: `
for s in 0 1 44 255; do
	ssh ws exit $s; echo $s $?
	ssh -n ws "exec sh -c 'exec >/dev/null 2>&1; exit $s'"; echo $s $?
done; ws=$(ssh ws /no/such/program 2>&1); echo "$ws $?"`},
	{name: "exit-status-signal", about: "a client that is killed does not say 0; a command that is killed is reported by signal, with its core dump", bash: `
ssh ws "echo \$\$ >$DIR/pid; exec sleep 444" & until_exists pid
kill $!; wait $!; echo $?; kill $(cat pid)
for s in TERM KILL HUP ABRT SEGV PIPE USR1 IO; do
	ssh -vv ws "ulimit -c 0; kill -$s \$\$" 2>&1 | grep -o 'rtype exit.*'; echo $s ${PIPESTATUS[0]}
done`},
	{name: "stderr-after-eof", about: "stderr goes on after the end of stdout", bash: `
ssh ws "exec sh -c 'exec >/dev/null; cat data >&2'" 2>copy; echo $?
ssh ws "exec sh -c 'exec >/dev/null; sleep 0.3; cat $DIR/data >&2'" 2>copy; echo $?; cmp data copy`},
	{name: "stderr-data", about: "stderr apart from stdout, with and without input", bash: `
for n in '' -n; do
	ssh $n ws "exec sh -c 'exec >/dev/null; cat $DIR/data >&2'" 2>copy; echo $?; cmp data copy
	ssh $n ws "exec sh -c 'echo a; exec >/dev/null; cat $DIR/data >&2'" 2>copy; echo $?; cmp data copy
done`},
	{name: "broken-pipe", about: "whoever reads the client's output goes first", bash: `
for i in 1 2; do ssh ws "sleep 0.1; echo $i" 2>/dev/null | true; echo ${PIPESTATUS[0]}; done`},
	{name: "yes-head", about: "endless output ends when its reader does, at either end", bash: `
ssh ws 'sh -c "while true; do echo yes; done | head -2000"' | (sleep 0.2; wc -l)
ssh ws yes | head -n 2; echo ${PIPESTATUS[@]}
yes | ssh ws head -n 2; echo ${PIPESTATUS[@]}`},
	{name: "transfer", about: "bytes arrive as they were, in any block size, both ways", bash: `
ssh -n -q ws cat $DIR/data >copy; echo $?; cmp data copy
for s in 10 1k 64k 256k; do
	rm -f copy; dd if=data obs=$s 2>/dev/null | ssh -q ws "cat >$DIR/copy"; echo $s $?; cmp data copy
done`},
	{name: "rekey", about: "the client exchanges keys in the middle of a stream, with each cipher", bash: `
for i in 1 2 3 4; do cat data; done >big
for c in aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com aes128-ctr; do
	ssh -c $c -o RekeyLimit=512k -v ws "cat" <big 2>log >copy; echo $c $?; cmp big copy
	[ $(grep -c 'NEWKEYS sent' log) -gt 4 ] && echo rekeyed
done`},
	{name: "try-ciphers", about: "every cipher and authentication code that both know", bash: `
for c in aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com aes128-ctr aes192-ctr aes256-ctr; do
	ssh -c $c ws true; echo $c $?
done
for m in hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-sha2-256 hmac-sha2-512; do
	ssh -c aes128-ctr -m $m ws true; echo $m $?
done`},
	{name: "kextype", about: "every key exchange that both know", bash: `
for k in curve25519-sha256 curve25519-sha256@libssh.org ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521 diffie-hellman-group14-sha256; do
	ssh -o KexAlgorithms=$k ws true; echo $k $?
done`},
	{name: "envpass", about: "variables of the client: one, several, the first of two, empty, with spaces", bash: `
A=1 _B=2 C='a b' D= ssh -o SendEnv='A _B' -o SendEnv='C D' ws 'echo "$A|$_B|$C|${D-unset}|${E-unset}"'
ssh -o SetEnv='A=1 A=11 B=2' ws 'echo $A $B'`},
	{name: "environment", about: "what a session has without asking", bash: `
ssh ws env | grep -vE '^(SSH_|XDG_|DBUS_|LANG|LC_)' | sort # without what PAM sets
ssh ws 'set -- $SSH_CONNECTION; echo $1 $3 $#; set -- $SSH_CLIENT; echo $1 $#'
ssh ws 'umask; ulimit -n; pwd; cat /proc/self/oom_score_adj; ps -o ni= -p $$'`},
	{name: "login-shell", about: "without a command: a login shell, input as its script, silence before and after", bash: `
printf 'echo "$0 $-"; shopt -q login_shell && echo login; pwd; exit 6' | ssh -T ws 2>&1; echo $?
ssh ws true | wc -c`},
	{name: "quoting", about: "the command reaches the user's shell unchanged", bash: `
ssh ws 'printf "%s|" "a  b" '"'c\$d'"' "$((1+1))" *.none; echo'; ssh ws printf %s, a "b c" '"d e"'; ssh ws '
echo two
echo lines'; echo 'echo "from stdin: $1"; exit 5' | ssh -T ws bash -s x; echo $?`},
	{name: "half-close", about: "the end of input leaves output open, and the other way round", bash: `
printf 'some\nlines\n' | ssh ws 'cat; echo end'; echo $?
ssh ws 'exec >&-; cat >&2' <data 2>copy; echo $?; cmp data copy
ssh -n ws cat; echo $?; ssh ws 'exec <&-; sleep 0.1; echo out' <data; echo $?`},
	{name: "big-stdin", about: "20 MiB in and out", bash: `
for i in $(seq 20); do cat data; done >big; sha256sum <big; ssh ws sha256sum <big; ssh ws "cat $DIR/big" | sha256sum`},
	{name: "background", about: "what is started with nohup outlives its connection; one that holds the output holds the session", bash: `
ssh ws "nohup sh -c 'echo \$\$ >$DIR/pid.tmp; mv $DIR/pid.tmp $DIR/pid; exec sleep 300' >/dev/null 2>&1 & echo started"
until_exists pid; kill -0 $(cat pid) && echo lives; kill $(cat pid)
ssh ws 'sleep 0.5 & echo now; exit 3'; echo $?`},
	{name: "tty", about: "a terminal on demand: its modes, size, name and type are the client's", bash: `
ssh -T ws 'tty; echo ${TERM-none}'
script -qec "stty rows 33 cols 99 -echo intr ^G -ixon iutf8; ssh -tt ws 'stty -a; stty size; echo \$TERM; test \$(tty) = \$SSH_TTY && echo same'" /dev/null </dev/null
ssh -tt ws 'stty size; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal; exit 7' </dev/null; echo $?`},
	{name: "tty-logout", about: "a terminal's end: exit codes, foreground processes hang up, nothing stays", bash: `
ssh -tt ws "trap 'echo hup >$DIR/hup; exit' HUP; touch $DIR/ready; while :; do sleep 0.05; done" </dev/null >/dev/null & until_exists ready
kill $!; until_exists hup; cat hup
ssh -tt ws 'kill -9 $$' </dev/null; echo $?
ssh -tt ws "sh -c 'echo \$\$ >$DIR/child; exec sleep 300' & until [ -s $DIR/child ]; do sleep 0.02; done; exit 4" </dev/null; echo $?
until_dead $(cat child); echo gone`},
	{name: "tty-background", about: "jobs that hold a terminal do not hold its session; no output of the shell is lost", bash: `
printf 'echo $$ >>%s/jobs; exec sleep 300\n' $DIR >job
for k in "sh job" "trap '' HUP; exec sh job" "setsid sh job"; do ssh -tt ws "cd $DIR; set -m; ($k) & exit 4" </dev/null; echo $?; done
for i in 1 2 3; do
	ssh -tt ws "cd $DIR; set -m; sh job & head -c 3000 data | base64; exit 5" </dev/null >out; echo $? $(sha256sum <out)
done
until [ $(grep -c . jobs) = 6 ]; do pause; done; kill $(cat jobs)`},
	{name: "proxy-connect", about: "through another program (ProxyCommand) and through itself (ProxyJump)", bash: `
ssh -J ws ws2 'echo jumped; exit 3'; echo $?
ssh -o ProxyCommand="ssh -W %h:%p ws" ws2 'echo proxied'; echo $?`},
	{name: "multiplex", about: "one connection for many: check, commands, environment, files, forwards, exit and stop", bash: `
ssh -MS $DIR/mux -o ControlPersist=yes -fN ws; m="-S $DIR/mux"
ssh $m -O check ws 2>&1 | sed 's/pid=[0-9]*/pid/'
for s in 0 1 4 5 44; do ssh $m ws exit $s; echo $?; done
A=1 ssh $m -o SendEnv=A ws 'echo $A'; ssh $m ws cat $DIR/data | cmp - data; ssh $m ws "cd $DIR; cat >copy; cmp copy data" <data
sftp -o ControlPath=$DIR/mux -b - ws <<< "get $DIR/data copy1" >/dev/null; cmp data copy1
scp -o ControlPath=$DIR/mux data ws:$DIR/copy2; cmp data copy2
ssh $m -O forward -L $P1:127.0.0.1:$WEB ws; curl -s http://127.0.0.1:$P1; ssh $m -O cancel -L $P1:127.0.0.1:$WEB ws; curl -s http://127.0.0.1:$P1 || echo failed
ssh $m -O forward -R $P2:127.0.0.1:$WEB ws; curl -s http://127.0.0.1:$P2; ssh $m -O cancel -R $P2:127.0.0.1:$WEB ws
ssh $m -O forward -R $DIR/sock:127.0.0.1:$WEB ws; curl -s --unix-socket $DIR/sock http://x; ssh $m -O cancel -R $DIR/sock:127.0.0.1:$WEB ws
for i in 1 2 3 4 5 6 7 8 9; do ssh $m ws "echo $i; exit $i"; echo $?; done
ssh $m ws "touch $DIR/up; sleep 0.5; echo slow" & until_exists up; ssh $m -O stop ws 2>&1; wait
ssh $m -O exit ws 2>/dev/null; echo done`},
}
