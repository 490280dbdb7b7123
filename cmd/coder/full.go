//go:build !slim

package main

// slim reports whether this build lacks the server.
const slim = false
