// Package files reads and changes files for somebody who has no shell at hand: a
// program that asks over HTTP and wants an answer it can rely on. It acts with the
// rights of the process that calls it and guards nothing of its own.
//
// Paths are absolute, or begin with "~" or "~/", which is the home directory that
// the caller names.
//
// A change of a file is whole or has not happened, whatever dies in the middle: the
// new content goes to a file beside it, to the disk, and takes its place by rename.
// The file keeps its mode and, where that is permitted, its owner, and a symbolic
// link stays one that leads to the new content. Hard links and extended attributes
// are not kept. What is left of a killed change is a file named ".berth-write-*".
//
// Several files are changed as far as possible together: all of them are read,
// checked and written beside their places before the first takes its own.
package files
