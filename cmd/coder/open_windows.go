package main

import (
	"context"

	"golang.org/x/sys/windows"
)

// openLink has the desktop open a link. Programs that do the same, like rundll32,
// do not tell when there is nothing to open it.
func openLink(_ context.Context, link string) error {
	text, err := windows.UTF16PtrFromString(link)
	if err != nil {
		return err
	}
	return windows.ShellExecute(0, nil, text, nil, nil, windows.SW_SHOWNORMAL)
}

// hasDesktop reports whether links open in a window.
func hasDesktop() bool { return true }
