package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Variables that make the test binary a process that writes a file again and again
// until it is killed, or one that tries it once.
const (
	beWriter   = "BERTH_TEST_WRITER"
	beStranger = "BERTH_TEST_STRANGER"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(beWriter); path != "" {
		os.Exit(writerMain(path))
	}
	if path := os.Getenv(beStranger); path != "" {
		if _, err := Write(path, letters('x'), false); errors.Is(err, fs.ErrPermission) {
			fmt.Println("not permitted")
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func writerMain(path string) int {
	for i := 0; ; i++ {
		if _, err := Write(path, io.LimitReader(letters('a'+i%26), contentSize), false); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if i == 0 {
			fmt.Println("began")
		}
	}
}

// contentSize is that of what writers write: large enough to be killed within.
const contentSize = 1 << 20

// letters is one letter without an end.
type letters byte

func (l letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(l)
	}
	return len(p), nil
}
