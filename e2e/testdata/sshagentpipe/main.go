//go:build windows

// Command sshagentpipe is an SSH agent on the pipe of its argument, with one key,
// whose public half it prints when it is there.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log"
	"os"

	"github.com/Microsoft/go-winio"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func main() {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		log.Fatal(err)
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: private, Comment: "of Windows"}); err != nil {
		log.Fatal(err)
	}
	ln, err := winio.ListenPipe(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(ssh.MarshalAuthorizedKey(key)))
	for {
		conn, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer conn.Close()
			_ = agent.ServeAgent(keys, conn) // until its client goes
		}()
	}
}
