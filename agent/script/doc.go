// Package script runs a template's scripts: at the start of a workspace, at its
// stop, and by a clock.
//
//	Run ──► starting ──► ready | start_error | start_timeout ──► (clock)
//	Stop ─► shutting_down ──► off | shutdown_error | shutdown_timeout
//
// Scripts of one phase run side by side, except that one waits for those that
// its leading comments name:
//
//	#!/bin/sh
//	# coder:after Install packages
//
// Names are display names, without regard to case. What is waited for may fail:
// "after" is an order, not a condition. Scripts that wait for each other in a
// circle do not run and count as failed; a name that is unknown is told in the
// log and not waited for.
//
// A script is a file that the interpreter of its first line reads, else the
// user's shell, in a process group of its own, with the environment and
// directory of a login. When its time is over the group gets SIGTERM and 10 s
// later SIGKILL. A process that it leaves behind with its output open is no
// hindrance: what it prints is still logged.
//
// All that scripts print goes into a file each, as it is. Lines of it, and what
// else happens, come as events; of a script that prints much these are the
// first and the last lines, so that the log of a workspace has room for all of
// its scripts and says where the rest is. A full disk costs the file, not the
// script.
//
// Who passes the events on to a server, and which environment scripts get, is
// left to the caller.
package script
