//go:build !darwin && !windows

package main

// systemKeyring is none: a keyring of Linux needs a desktop that is open, which
// servers and containers do not have.
func systemKeyring() keyring { return nil }
