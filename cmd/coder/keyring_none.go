//go:build !darwin && !windows

package main

import "errors"

// hasKeyring says that sessions are in files here: a keyring of Linux needs a
// desktop that is open, which servers and containers do not have.
const hasKeyring = false

var errNoKeyring = errors.New("this system has no keyring")

func keyringGet(string) (string, error) { return "", errNoKeyring }

func keyringSet(string, string) error { return errNoKeyring }

func keyringDelete(string) error { return errNoKeyring }
