#!/bin/sh
# Installs what the tests run: OpenSSH and its users, PostgreSQL, nginx, a browser, systemd,
# Wine and the tools of network namespaces. As root on Debian it installs; elsewhere it names what is
# missing and fails. What comes from npm goes to build/: xterm.js, which terminals are
# compared with, and VS Code's server and workbench with their Node.js.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
want='ssh:openssh-client sshd:openssh-server sftp:openssh-client rsync:rsync nginx:nginx-light
ip:iproute2 iptables:iptables git:git gcc:gcc setpriv:util-linux zstd:zstd curl:curl wget:wget
sshfs:sshfs xauth:xauth gpg:gpg gpg-agent:gpg-agent gpgconf:gpgconf ssh-agent:openssh-client ansible:ansible-core script:bsdutils ps:procps unzip:unzip
node:nodejs npm:npm vim:vim emacs:emacs-nox tmux:tmux chromium:chromium /usr/lib/wine/wine64:wine64
systemctl:systemd dbus-daemon:dbus useradd:passwd mkfs.ext4:e2fsprogs mount:mount unshare:util-linux'
missing=''
for pair in $want; do
	command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
for dir in /usr/lib/postgresql/*/bin; do pg=$dir; done
[ -x "$pg/initdb" ] || missing="$missing postgresql"
if [ -n "$missing" ]; then
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "the tests need these Debian packages or their like:$missing" >&2
		exit 1
	fi
	echo "installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# shellcheck disable=SC2086
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

# modules installs what a directory's package-lock.json names in another of build/, and
# runs none of its scripts.
modules() {
	mkdir -p "$root/build/$2"
	cd "$root/build/$2"
	if ! cmp -s "$root/$1/package-lock.json" package-lock.json || [ ! -e installed ]; then
		rm -f installed
		cp "$root/$1/package.json" "$root/$1/package-lock.json" .
		npm ci --silent --no-audit --no-fund --ignore-scripts
		touch installed
	fi
}
modules agent/pty/screen/reference reference
modules e2e/testdata/vscode vscode
# VS Code looks for its modules beside its own files.
ln -sfn ../../.. "$root/build/vscode/node_modules/code-server/lib/vscode/node_modules"
