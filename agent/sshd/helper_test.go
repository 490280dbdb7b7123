//go:build linux

package sshd

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// helper is what the test binary does when a script runs it as $HELPER.
func helper(args []string) error {
	switch args[0] {
	case "x-server":
		return xServer(args[1], args[2])
	case "x-client":
		return xClient()
	}
	return fmt.Errorf("unknown helper %q", args)
}

// An X11 connection begins with a byte order, the version and the lengths of
// the name and the data of the authentication, which follow padded to four.
const cookieName = "MIT-MAGIC-COOKIE-1"

func pad(n int) int { return (n + 3) &^ 3 }

// xServer accepts connections that bring cookie and greets them; it tells the
// others that they are refused. Its script ends it.
func xServer(port, cookie string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		head := make([]byte, 12)
		if _, err := io.ReadFull(conn, head); err == nil {
			name, data := int(binary.BigEndian.Uint16(head[6:])), int(binary.BigEndian.Uint16(head[8:]))
			auth := make([]byte, pad(name)+pad(data))
			_, _ = io.ReadFull(conn, auth)
			answer := "refused"
			if string(auth[:name]) == cookieName && hex.EncodeToString(auth[pad(name):pad(name)+data]) == cookie {
				answer = "welcome"
			}
			_, _ = io.WriteString(conn, answer)
		}
		_ = conn.Close()
	}
}

// xClient connects to $DISPLAY with the cookie that xauth knows for it.
func xClient() error {
	list, err := exec.Command("xauth", "list", os.Getenv("DISPLAY")).Output()
	if err != nil {
		return fmt.Errorf("xauth list: %w", err)
	}
	fields := strings.Fields(string(list))
	if len(fields) < 3 {
		return fmt.Errorf("xauth list = %q, want an entry", list)
	}
	cookie, err := hex.DecodeString(fields[2])
	if err != nil {
		return err
	}
	_, screen, _ := strings.Cut(os.Getenv("DISPLAY"), ":")
	number, err := strconv.Atoi(strings.TrimSuffix(screen, ".0"))
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(6000+number)))
	if err != nil {
		return err
	}
	defer conn.Close()
	hello := []byte{'B', 0, 0, 11, 0, 0, 0, byte(len(cookieName)), 0, byte(len(cookie)), 0, 0}
	hello = append(hello, cookieName...)
	hello = append(hello, make([]byte, pad(len(cookieName))-len(cookieName))...)
	if _, err := conn.Write(append(hello, cookie...)); err != nil {
		return err
	}
	answer, err := io.ReadAll(conn)
	fmt.Println(string(answer))
	return err
}
