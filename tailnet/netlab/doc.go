// Package netlab simulates networks for tests: hosts behind NATs and
// firewalls, and links with latency, loss and partitions.
//
// It has two parts. The in-memory part needs no privileges and carries the
// UDP packets of nodes that live in the test process. The kernel part
// ([NewKernel], Linux, root) makes real network namespaces, in which real
// processes run; its routers are the kernel's own NAT and its links are pairs
// of tun devices joined by a shuttle in the test process.
//
// Nothing in a lab can reach the machine's own network, and a lab leaves
// nothing behind: what a killed test process could not remove, the next
// NewKernel removes. What runs on the hosts, and what it must show, is left to
// the tests that use the lab.
package netlab
