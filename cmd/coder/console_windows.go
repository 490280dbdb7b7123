package main

import (
	"io"
	"os"

	"golang.org/x/sys/windows"
)

// showEscapes has consoles understand escape sequences, which those of Windows 10
// print else.
func showEscapes() (restore func()) {
	return addMode(windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING)
}

// rawOutput has a line feed go down and no more, as in any raw terminal.
func rawOutput() (restore func()) {
	return addMode(windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING | windows.DISABLE_NEWLINE_AUTO_RETURN)
}

// addMode changes the consoles of stdout and stderr. What is no console, or cannot
// do it, stays as it is.
func addMode(add uint32) (restore func()) {
	var undo []func()
	for _, f := range []*os.File{os.Stdout, os.Stderr} {
		h := windows.Handle(f.Fd())
		var before uint32
		if windows.GetConsoleMode(h, &before) == nil && windows.SetConsoleMode(h, before|add) == nil {
			undo = append(undo, func() { windows.SetConsoleMode(h, before) })
		}
	}
	return func() {
		for i := len(undo) - 1; i >= 0; i-- { // both may be the same console
			undo[i]()
		}
	}
}

// console reads keys. An os.File would end at Ctrl-Z, which is a key like others
// in a terminal that is raw.
type console struct {
	handle windows.Handle
	text   utf16Reader
	left   []byte // of the last read
}

// rawKeys reads what is typed.
func rawKeys(in *os.File) io.Reader { return &console{handle: windows.Handle(in.Fd())} }

// Read blocks until something is typed.
func (c *console) Read(p []byte) (int, error) {
	units := make([]uint16, 1024) // far more than anybody types at once; what is pasted takes several reads
	for len(c.left) == 0 {
		var n uint32
		if err := windows.ReadConsole(c.handle, &units[0], uint32(len(units)), &n, nil); err != nil {
			return 0, err
		}
		c.left = c.text.decode(units[:n])
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}
