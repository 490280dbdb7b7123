//go:build unix

package main

import (
	"io"
	"os"
)

// showEscapes does nothing: terminals know escape sequences.
func showEscapes() (restore func()) { return func() {} }

// rawOutput does nothing: a terminal that is raw is that both ways.
func rawOutput() (restore func()) { return func() {} }

// rawKeys reads what is typed.
func rawKeys(in *os.File) io.Reader { return in }
