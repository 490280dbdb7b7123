package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/berthdev/berth/connect/sshclient"
)

// nonceBytes is how long a nonce of an emulated socket is.
const nonceBytes = 16

// dialingGPG reaches what listens on a socket of GnuPG. On Windows, where such a
// socket is emulated, path is a file of
//
//	<port of the loopback, in decimal> newline <nonce of 16 bytes>
//
// and who can read it proves so by sending the nonce first.
func dialingGPG(path string) sshclient.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		if s, err := os.Stat(path); err != nil || !s.Mode().IsRegular() {
			return dialing("unix", path)(ctx)
		}
		port, nonce, err := readEmulated(path)
		if err != nil {
			return nil, err
		}
		conn, err := dialing("tcp", net.JoinHostPort("127.0.0.1", port))(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := conn.Write(nonce); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

func readEmulated(path string) (port string, nonce []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return "", nil, err
	}
	line, nonce, _ := bytes.Cut(raw, []byte("\n"))
	n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 10, 16)
	if err != nil || n == 0 || len(nonce) != nonceBytes {
		return "", nil, fmt.Errorf("%s is no socket of GnuPG", path)
	}
	return strconv.FormatUint(n, 10), nonce, nil
}
