//go:build darwin || windows

package main

import (
	"errors"

	"github.com/zalando/go-keyring"
)

// hasKeyring says that every user of this system has a keyring.
const hasKeyring = true

// keyringService is the name of our entries. On macOS a session goes to the
// program that keeps it by a pipe, never as an argument that others could see.
const keyringService = "berth"

// keyringGet returns an entry, or "" if there is none.
func keyringGet(account string) (string, error) {
	secret, err := keyring.Get(keyringService, account)
	if errors.Is(err, keyring.ErrNotFound) {
		return "", nil
	}
	return secret, err
}

func keyringSet(account, secret string) error { return keyring.Set(keyringService, account, secret) }

// keyringDelete removes an entry, if there is one.
func keyringDelete(account string) error {
	err := keyring.Delete(keyringService, account)
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}
