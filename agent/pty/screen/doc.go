// Package screen is the state of a terminal without a window: it reads what a
// program prints and can at any moment say what a terminal would show, as bytes
// that bring a fresh terminal of the same size to exactly that state.
//
// It behaves as xterm.js 6 does (with Unicode 11 widths), which is xterm to all
// that programs print, down to the null cells that erasing leaves, pending
// wraps and reflow; the tests compare the two cell by cell. Where xterm.js
// would let a program take memory without bound, there are limits instead, all
// in limits.go: a screen takes 4 MiB at most, whatever is fed to it.
//
// It draws nothing and talks to nobody: questions of programs (where is the
// cursor?) are handed back with the answer, and whoever feeds the screen gives
// it to the program or lets a real terminal answer.
//
// The parser is our own. That of charmbracelet/x/ansi ends strings at the byte
// 0x9C, which is part of many characters (a check mark in a title breaks), reads
// an escape as part of a broken character and lets numbers overflow.
package screen
