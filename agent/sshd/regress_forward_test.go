//go:build linux

package sshd

// forwardCases are about connections through the connection.
var forwardCases = []regress{
	{name: "forwarding", about: "ports and sockets, both ways, in chains, half closed, refused when taken", bash: `
f() { ssh -o ExitOnForwardFailure=yes "$@" ws "touch $DIR/up; while [ -e $DIR/up ]; do sleep 0.02; done" & until_exists up; }
e() { rm -f up; wait; }
f -L $P1:127.0.0.1:$WEB -L $P2:localhost:$P1; curl -s http://127.0.0.1:$P1; curl -s http://127.0.0.1:$P2; e
f -R $P1:127.0.0.1:$WEB; curl -s http://127.0.0.1:$P1; ssh -o ExitOnForwardFailure=yes -R $P1:127.0.0.1:1 ws true; echo $?; e
f -R 127.0.0.1:$P1:127.0.0.1:$WEB -R localhost:$P2:127.0.0.1:$WEB; curl -s http://127.0.0.1:$P1; curl -s http://127.0.0.1:$P2; e
f -L $DIR/l:127.0.0.1:$WEB -R $DIR/r:$DIR/l; stat -c %a r; curl -s --unix-socket r http://x; e; ls l
f -L $P1:$DIR/r -R $DIR/r2:127.0.0.1:$WEB; curl -s http://127.0.0.1:$P1 || echo failed; curl -s --unix-socket r2 http://x; e
ssh -W 127.0.0.1:$WEB ws <<< $'GET / HTTP/1.0\r\n\r' | tail -n 1
ssh -W 127.0.0.1:$P3 ws </dev/null 2>&1; echo $?`},
	{name: "dynamic-forward", about: "SOCKS 4 and 5: to an address, a name, a closed port, and from the far end", bash: `
ssh -D $P1 -R $P2 ws "touch $DIR/up; while [ -e $DIR/up ]; do sleep 0.02; done" 2>&1 & until_exists up; until_open $P1; until_open $P2
for p in $P1 $P2; do for v in socks4 socks4a socks5 socks5h; do
	curl -s --proxy $v://127.0.0.1:$p http://localhost:$WEB; curl -s --proxy $v://127.0.0.1:$p http://127.0.0.1:$P3 || echo $v failed
done; done 2>&1; rm up; wait`},
	{
		name: "forward-control", about: "forwards that are switched off are refused in the same words, all else works",
		sshd: "AllowTcpForwarding no\nAllowStreamLocalForwarding no\n", berth: Config{BlockLocalForwarding: true, BlockRemoteForwarding: true},
		bash: `
ssh -W 127.0.0.1:$WEB ws </dev/null 2>&1; echo $?; ssh -R $P1:127.0.0.1:$WEB -o ExitOnForwardFailure=yes ws true; echo $?
ssh -R $DIR/sock:127.0.0.1:$WEB -o ExitOnForwardFailure=yes ws true; echo $?; ssh -R $P1:127.0.0.1:$WEB ws echo still 2>&1
ssh -MS $DIR/mux -fNL $P2:127.0.0.1:$WEB -L $P3:$DIR/sock ws 2>/dev/null; curl -s http://127.0.0.1:$P2 || echo failed; curl -s http://127.0.0.1:$P3 || echo failed; ssh -S $DIR/mux -O exit ws 2>/dev/null; echo $?`,
	},
	{
		name: "forward-control-local", about: "only the one direction switched off",
		sshd: "AllowTcpForwarding remote\n", berth: Config{BlockLocalForwarding: true},
		bash: `
ssh -W 127.0.0.1:$WEB ws </dev/null 2>&1; echo $?
ssh -R $P1:127.0.0.1:$WEB ws "curl -s http://127.0.0.1:$P1"; echo $?`,
	},
	{
		name: "forward-control-remote", about: "only the other direction switched off",
		sshd: "AllowTcpForwarding local\n", berth: Config{BlockRemoteForwarding: true},
		bash: `
ssh -W 127.0.0.1:$WEB ws <<< $'GET / HTTP/1.0\r\n\r' | tail -n 1
ssh -o ExitOnForwardFailure=yes -R $P1:127.0.0.1:$WEB ws true; echo $?`,
	},
	{name: "agent", about: "the client's agent in the session: lists, signs, adds; one socket of ours alone, gone at the end", bash: `
eval $(ssh-agent -a $DIR/agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; ssh-keygen -qt ed25519 -N '' -C key -f key; ssh-add -q key
ssh ws 'ssh-add -l' 2>&1; echo $?; ssh -A ws 'ssh-add -l' | grep -o key; ssh -A ws 'ssh-add -L' | cmp - key.pub
ssh -A ws "ssh-keygen -qt ed25519 -N '' -C two -f $DIR/two; ssh-add -q $DIR/two"; ssh-add -l | grep -c .
ssh -A ws "cd $DIR; echo hi >x; ssh-keygen -Y sign -n t -f key.pub x 2>/dev/null; tail -n 1 x.sig"
ssh -A ws 'd=${SSH_AUTH_SOCK%/*}; stat -c "%a %F" $d; stat -c %F $SSH_AUTH_SOCK; echo $d >'$DIR/sock; until_gone $(cat sock); echo gone
ssh -A ws "ssh -F $CONF -A ws2 ssh-add -l" | grep -c .
ssh -AMS $DIR/mux -fN ws; for i in 1 2 3; do ssh -AS $DIR/mux ws 'echo $SSH_AUTH_SOCK; ssh-add -l | grep -c .' >m$i; done; cmp m1 m2; cmp m2 m3; tail -n 1 m1; ssh -S $DIR/mux -O exit ws 2>/dev/null`},
	{name: "x11", about: "a program finds display and cookie, its connection reaches the client's display with the real cookie", bash: `
export XAUTHORITY=$DIR/xauth DISPLAY=127.0.0.1:$((P1 - 6000)); xauth add $DISPLAY . 00112233445566778899aabbccddeeff 2>/dev/null
$HELPER x-server $P1 00112233445566778899aabbccddeeff & until_open $P1
for o in -X -Y; do ssh $o -o ForwardX11Trusted=yes ws "echo \${DISPLAY%:*}; xauth list \$DISPLAY | awk '{ print \$2, length(\$3) }'; $HELPER x-client"; done
ssh -x ws 'echo ${DISPLAY-none}'`},
}

// toolCases are about programs that people use over ssh.
var toolCases = []regress{
	{name: "rsync", about: "there, back, partial, delete, checksum", bash: `
mkdir -p s/sub; cp data s/sub/f; ln -s f s/sub/l; chmod 640 s/sub/f; touch -d 2001-02-03T04:05:06Z s/sub/f s/sub s
rsync -a s/ ws:$DIR/up; echo $?; rsync -a ws:$DIR/up/ down; echo $?; diff -r s up; diff -r s down
echo more >>s/sub/f; rsync -ai --no-t s/ ws:$DIR/up; rm s/sub/l; rsync -ai --delete -c --no-t s/ ws:$DIR/up; rsync ws:$DIR/none x 2>/dev/null; echo $?`},
	{name: "git", about: "clone, push, fetch, a push that is refused", bash: `
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000'
git init -q --bare -b main repo; git clone -q ws:$DIR/repo a 2>/dev/null; cp data a; (cd a; git checkout -qb main; git add data; git commit -qm one; git push -q origin main); echo $?
git clone -q ws:$DIR/repo b; cmp data b/data; (cd b; echo x >x; git add x; git commit -qm two; git push -q); echo $?; (cd a; echo y >y; git add y; git commit -qm three; git push -q 2>/dev/null; echo $?; git fetch -q; git log --format=%s origin/main)
git clone -q ws:$DIR/none c 2>/dev/null; echo $?`},
	{name: "sshfs", about: "a mounted directory: read, write, rename, links, times, free space", bash: `
mkdir far mnt; cp data far; sshfs ws:$DIR/far mnt; echo $?; trap 'fusermount -uz mnt 2>/dev/null' EXIT
cmp data mnt/data; cp data mnt/two; sync -f mnt/two; cmp data far/two; mv mnt/two mnt/three; ln -s three mnt/link; ln mnt/three mnt/hard; readlink far/link; mkdir mnt/d; rmdir mnt/d
echo appended >>mnt/three; tail -c 9 far/three; truncate -s 5 mnt/three; stat -c %s far/three; touch -d 2001-02-03T04:05:06Z mnt/three; stat -c %Y far/three; chmod 600 mnt/three; stat -c %a far/three
stat -f -c %b mnt >blocks; [ $(cat blocks) -gt 0 ] && echo space; rm mnt/hard; ls far; fusermount -u mnt; echo $?`},
	{name: "ansible", about: "ansible -m ping, which copies a module and runs it", bash: `
export ANSIBLE_LOCALHOST_WARNING=False ANSIBLE_SSH_ARGS= ANSIBLE_HOME=$DIR ANSIBLE_LOCAL_TEMP=$DIR ANSIBLE_REMOTE_TEMP=$DIR/remote ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3 ANSIBLE_NOCOLOR=1
ansible all -i ws, -m ping; echo $?`},
}
