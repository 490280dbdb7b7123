//go:build linux

package sshd

// fileCases are about sftp and scp.
var fileCases = []regress{
	{name: "sftp", about: "get and put with any size of buffer and number of requests", bash: `
for b in 1024 32768 261120; do for r in 1 64; do
	rm -f copy.*; echo "put $DIR/data $DIR/copy.1
get $DIR/data $DIR/copy.2" | sftp -B $b -R $r -b - ws >/dev/null; echo $b $r $?; cmp data copy.1; cmp data copy.2
done; done`},
	{name: "sftp-cmds", about: "every command: ls, cd, pwd, mkdir, rename, ln, cp, chmod, chown, df, rm, rmdir", bash: `
mkdir dir; cp data dir/'with space'; cp data 'dir/q"uote'; touch -d 2001-02-03T04:05 dir/old; chmod 4711 dir/old; touch dir/.hidden; mkfifo dir/pipe
sftp -b - ws <<EOF2 | sed -E "s/[A-Z][a-z]{2} [ 0-9]{2} [0-9]{2}:[0-9]{2}/now/"
cd $DIR/dir
pwd
ls
ls -a
ls -1
ls -l
ls -ln
ls -lat old
ls w*
mkdir new
cd new
!true
put $DIR/data
rename data moved
ln moved hard
ln -s moved soft
ls -l soft
cp moved copied
chmod 600 copied
chown $(id -u) copied
chgrp $(id -g) copied
rm hard
ls -1
cd ..
rename new newer
symlink newer link
cd link
pwd
rm *
cd ..
rmdir newer
ls -1
get 'with space' "$DIR/got it"
get q* $DIR
get /etc/host* $DIR/dir
EOF2
echo $?; cmp data 'got it'; cmp data 'q"uote'; ls dir; stat -c %A:%n dir/*; readlink dir/link`},
	{name: "sftp-badcmds", about: "what fails, fails in the same words", bash: `
mkdir d1 d2; touch d2/x full
for c in "get $DIR/none" "put /none $DIR/x" "get $DIR/d1 $DIR/none/x" "put $DIR/data $DIR/none/x" "rename $DIR/none $DIR/x" "rename $DIR/d1 $DIR/d2" \
	"rename -l $DIR/data $DIR/full" "rmdir $DIR/d2" "rmdir $DIR/data" "rm $DIR/d1" "cd $DIR/data" "cd $DIR/none" "mkdir $DIR/d1" "ls $DIR/none" "ln $DIR/none $DIR/y" \
	"chmod 600 $DIR/none" "symlink a $DIR/data" "get $DIR/data/x" "df $DIR/none" "put $DIR/data /dev/full"; do
	sftp -b - ws <<< "$c" 2>&1; echo $?
done; ls -R`},
	{name: "sftp-batch", about: "a batch ends at its first error, or not when told so", bash: `
printf 'get %s/none\nget %s/data %s/no\n' $DIR $DIR $DIR | sftp -b - ws; echo $?
printf -- '-get %s/none\n@get %s/data %s/yes\n' $DIR $DIR $DIR | sftp -b - ws; echo $?; ls`},
	{name: "sftp-glob", about: "patterns of remote names, and names that look like patterns", bash: `
mkdir g; touch g/a1 g/a2 g/b1 'g/c[1]' 'g/d*' 'g/e?' 'g/f\g'
for p in 'a*' '?1' '[ab]1' 'c\[1\]' 'd\*' 'f\\g' '{a1,b1}' 'none*'; do sftp -b - ws <<< "ls -1 $DIR/g/$p" 2>&1; echo "$p $?"; done
mkdir got; sftp -b - ws <<< "get $DIR/g/* $DIR/got" >/dev/null; ls got`},
	{name: "sftp-perm", about: "permissions, times, recursion and the umask", bash: `
umask 027; mkdir -p t/sub; cp data t/sub/f; chmod 640 t/sub/f; touch -d 2001-02-03T04:05:06Z t/sub/f; chmod 711 t/sub
sftp -b - ws <<< "put -pr t $DIR/up" >/dev/null; echo $?; sftp -b - ws <<< "get -pr $DIR/up $DIR/down" >/dev/null; echo $?
find up down -mindepth 1 -printf '%m %T@ %p\n' | sed 's/\(d[^.]*\.[0-9]*\)/\1/' | sort -k3 | awk '{ print $1, ($3 ~ /f$/ ? $2 : ""), $3 }'
sftp -b - ws <<< "put data $DIR/plain
put -f data $DIR/synced
mkdir $DIR/made" >/dev/null; stat -c '%a %n' plain synced made`},
	{name: "sftp-resume", about: "reget and reput go on where a transfer stopped", bash: `
head -c 300000 data >part; cp part part2
sftp -b - ws <<< "reget $DIR/data part
reput data $DIR/part2" >/dev/null; echo $?; cmp data part; cmp data part2
sftp -b - ws <<< "get -a $DIR/data part" 2>&1; echo $?`},
	{name: "sftp-many", about: "a directory of 3,000 files, links that lead nowhere", bash: `
mkdir many; (cd many; seq -f 'file%05g' 3000 | xargs touch; ln -s nowhere dangling)
printf 'cd %s\nls -1\n' $DIR/many | sftp -b - ws | grep -v sftp | sha256sum; sftp -b - ws <<< "ls -l $DIR/many/dangling" | awk '{ print $1, $NF }'
sftp -b - ws <<< "rm $DIR/many/*" >/dev/null; echo $?; ls many`},
	{name: "scp", about: "files and directories both ways, in place, with times, by patterns", bash: `
mkdir dir dir2; cp data dir/copy; chmod 600 dir/copy; touch -d 2001-02-03T04:05:06Z dir/copy
for o in -s -O; do
	scp $o data ws:$DIR/a; echo $?; cmp data a; scp $o ws:$DIR/data b; echo $?; cmp data b
	scp $o ws:$DIR/data ws:$DIR/data2 2>/dev/null; scp -3 $o ws:$DIR/data ws2:$DIR/c; echo $?; cmp data c
	scp $o -rp dir ws:$DIR/up; echo $?; scp $o -rp ws:$DIR/up down; echo $?; diff -r dir up; diff -r dir down; stat -c '%a %Y' down/copy
	scp $o ws:"$DIR/d*a" dir2; echo $?; ls dir2; scp $o data ws:$DIR/dir2/; echo $?
	scp $o data ws:$DIR/none/x 2>/dev/null; echo $?; scp $o ws:$DIR/none . 2>/dev/null; echo $?; scp $o data a ws:$DIR/b 2>/dev/null; echo $?
	rm -rf a b c up down dir2/*
done`},
	{name: "scp-names", about: "names with spaces, quotes and other characters of shells", bash: `
for n in 'a b' "q'uote" 'semi;colon' 'dollar$x' 'star*' 'ünï'; do
	scp data "ws:$DIR/$n"; echo $?; cmp data "$n"; scp "ws:$DIR/$n" back; echo $?; cmp data back; rm -f back "$n"
done; cp data home; scp ws:~/.none x 2>/dev/null; echo $?; scp "ws:~$(id -un)/.none" x 2>/dev/null; echo $?`},
}
