#!/bin/sh
# Runs govulncheck where its database can be reached, and says when not.
set -eu
if ! out=$(go tool -modfile=scripts/tools/go.mod govulncheck ./... 2>&1); then
	case $out in
	*"no such host"* | *"connection refused"* | *"i/o timeout"* | *Forbidden* | *"dial tcp"* | *"fetching vulnerabilities"*)
		echo "govulncheck: skipped, its database cannot be reached from here"
		exit 0
		;;
	esac
	echo "$out"
	exit 1
fi
