//go:build !windows

package main

import "github.com/berthdev/berth/connect/sshclient"

// systemAgent is where the SSH agent of the system is; here only SSH_AUTH_SOCK
// tells.
const systemAgent = ""

// dialingAgent reaches the SSH agent at path.
func dialingAgent(path string) sshclient.Dial { return dialing("unix", path) }
