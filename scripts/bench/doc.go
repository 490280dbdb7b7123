// Command bench measures what docs/benchmarks.md promises: the budgets, each
// beside what it is compared with (OpenSSH, raw TCP, tsnet) in the same run.
//
// It runs the real binaries of `make bench` in real processes, prints one table
// and exits with status 1 when a measurement failed; a budget that is missed is
// only said. Labs of kernel namespaces need root, the rest does not. What the
// numbers mean is left to docs/benchmarks.md.
package main
