#!/bin/sh
# Starts a server, makes its first admin and a workspace "demo", runs that
# workspace's agent on this machine and says how to connect. With CMD it runs
# one command in the workspace instead and ends with that command's exit code.
# Everything it starts ends with it; its files are in a directory of its own.
set -eu
coder=$(pwd)/build/coder
port=${PORT:-7080} relay=${RELAY_PORT:-3478} command=${CMD:-}
dir=$(mktemp -d "${TMPDIR:-/tmp}/berth-demo.XXXXXX")
server='' agent='' status=0

cleanup() {
	trap - EXIT INT TERM
	for pid in $agent $server; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
	echo "demo: $1" >&2
	shift
	[ $# -eq 0 ] || tail -n 20 "$@" >&2
	exit 1
}

say() { [ -n "$command" ] || echo "$@"; }

export CODER_CONFIG_DIR="$dir/config"
unset CODER_URL CODER_SESSION_TOKEN CODER_AGENT_URL CODER_AGENT_TOKEN
password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')

mkfifo "$dir/ready"
"$coder" server --http-address "127.0.0.1:$port" --relay-address "127.0.0.1:$relay" \
	--access-url "http://127.0.0.1:$port" --data-dir "$dir/data" >"$dir/ready" 2>"$dir/server.log" &
server=$!
read -r ready <"$dir/ready" || fail "the server did not start:" "$dir/server.log"
say "$ready"

"$coder" login "http://127.0.0.1:$port" --first-user-username admin --first-user-email admin@example.com \
	--first-user-password "$password" >"$dir/login.log" 2>&1 || fail "login failed:" "$dir/login.log"
"$coder" create demo --template byo --yes >"$dir/create.log" 2>&1 || fail "create failed:" "$dir/create.log"
token=$("$coder" external-workspaces agent-instructions demo -o json | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p')
[ -n "$token" ] || fail "the server gave no agent token"

CODER_AGENT_URL="http://127.0.0.1:$port" CODER_AGENT_TOKEN="$token" "$coder" agent --log-dir "$dir" >"$dir/agent.log" 2>&1 &
agent=$!

if [ -n "$command" ]; then
	"$coder" ssh demo -- "$command" || status=$?
	[ "$status" -eq 0 ] || echo "demo: the command failed with exit code $status" >&2
	exit "$status"
fi

"$coder" ssh demo -- true || fail "the workspace does not answer:" "$dir/server.log" "$dir/agent.log"
cat <<TEXT

  The workspace "demo" is this machine. In another terminal:

    export CODER_CONFIG_DIR=$CODER_CONFIG_DIR
    $coder ssh demo
    $coder ping demo
    ssh -o ProxyCommand='$coder ssh --stdio %h' demo

  Sign in at http://127.0.0.1:$port as admin@example.com, password $password
  Logs: $dir/server.log and $dir/agent.log
  Ctrl-C ends the demo and removes its files.

TEXT
while kill -0 "$server" 2>/dev/null && kill -0 "$agent" 2>/dev/null; do wait "$agent" || true; done
fail "the server or the agent ended:" "$dir/server.log" "$dir/agent.log"
