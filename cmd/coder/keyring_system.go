//go:build darwin || windows

package main

import (
	"errors"

	system "github.com/zalando/go-keyring"
)

// keyringService is the name of our entries. On macOS a session goes to the
// program that keeps it by a pipe, never as an argument that others could see.
const keyringService = "berth"

// osKeyring is that of the system, which every user has.
type osKeyring struct{}

func systemKeyring() keyring { return osKeyring{} }

func (osKeyring) get(account string) (string, error) {
	secret, err := system.Get(keyringService, account)
	if errors.Is(err, system.ErrNotFound) {
		return "", nil
	}
	return secret, err
}

func (osKeyring) set(account, secret string) error {
	return system.Set(keyringService, account, secret)
}

func (osKeyring) remove(account string) error {
	err := system.Delete(keyringService, account)
	if errors.Is(err, system.ErrNotFound) {
		return nil
	}
	return err
}
