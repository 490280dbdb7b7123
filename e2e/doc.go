// Package e2e runs the real binary, as server, agent and command line, on the
// hosts of a simulated network, and lets stock clients judge it.
//
// The package itself is the harness: it builds and starts processes and
// watches an open shell. What they must show is in its tests, one per promise;
// benchmarks use it too. It leaves networks to tailnet/netlab and looks into no
// process: all that it knows it reads from their output, as a user does.
package e2e
