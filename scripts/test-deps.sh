#!/bin/sh
# Installs what the tests run: OpenSSH and its users, PostgreSQL, nginx and the tools of
# network namespaces. As root on Debian it installs; elsewhere it names what is
# missing and fails.
set -eu
PATH=$PATH:/usr/sbin:/sbin
want='ssh:openssh-client sshd:openssh-server sftp:openssh-client rsync:rsync nginx:nginx-light
ip:iproute2 iptables:iptables git:git gcc:gcc setpriv:util-linux zstd:zstd curl:curl wget:wget
sshfs:sshfs xauth:xauth ansible:ansible-core script:bsdutils ps:procps'
missing=''
for pair in $want; do
	command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
for dir in /usr/lib/postgresql/*/bin; do pg=$dir; done
[ -x "$pg/initdb" ] || missing="$missing postgresql"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "the tests need these Debian packages or their like:$missing" >&2
	exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
