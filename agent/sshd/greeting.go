//go:build linux

package sshd

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxMOTD is more than any screen shows.
const maxMOTD = 64 << 10

// readMOTD returns the message of the day as a terminal wants it; nothing when
// it cannot be read or the user does not want it.
func readMOTD(file, home string) []byte {
	if file == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(home, ".hushlogin")); err == nil {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, maxMOTD)) // as much as there is
	return onTerminal(string(text))
}

// banners returns announcements, each with an empty line after it.
func banners(texts []string) (all []byte) {
	for _, text := range texts {
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, onTerminal(text+"\n\n")...)
		}
	}
	return all
}

// onTerminal ends the lines of text as a terminal wants it.
func onTerminal(text string) []byte {
	lines := strings.ReplaceAll(text, "\r\n", "\n")
	return []byte(strings.ReplaceAll(lines, "\n", "\r\n"))
}
