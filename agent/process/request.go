package process

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Request is a command to start.
type Request struct {
	Command string `json:"command"`
	// Dir is an absolute directory; "" is that of a login.
	Dir string `json:"workdir,omitempty"`
	// Env is set on top of the environment of a login.
	Env map[string]string `json:"env,omitempty"`
	// Background is for those who list commands: somebody means this one to go on.
	// It changes nothing.
	Background bool `json:"background,omitempty"`
}

// maxCommand is the most that the kernel takes as one argument, in bytes.
const maxCommand = 128<<10 - 1

func (r Request) check() error {
	switch {
	case strings.TrimSpace(r.Command) == "":
		return fmt.Errorf("%w: there is no command", ErrInvalid)
	case len(r.Command) > maxCommand:
		return fmt.Errorf("%w: a command has at most %d bytes", ErrInvalid, maxCommand)
	case strings.ContainsRune(r.Command, 0):
		return fmt.Errorf("%w: a command has no NUL", ErrInvalid)
	}
	for name, value := range r.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return fmt.Errorf("%w: %q cannot be in an environment", ErrInvalid, name)
		}
	}
	return nil
}

// Info says how a command is.
type Info struct {
	ID         uuid.UUID  `json:"id"`
	Command    string     `json:"command"`
	Dir        string     `json:"workdir"`
	Background bool       `json:"background"`
	PID        int        `json:"pid"`
	Started    time.Time  `json:"started_at"`
	Running    bool       `json:"running"`
	Ended      *time.Time `json:"ended_at,omitempty"`
	// ExitCode is 128+n when signal n ended it; Signal says then which one, as
	// shells do: killed, terminated, interrupt.
	ExitCode *int   `json:"exit_code,omitempty"`
	Signal   string `json:"signal,omitempty"`
	// Open says that the output may still grow, also after the end.
	Open bool `json:"output_open"`
	// Bytes is how much it has printed.
	Bytes uint64 `json:"output_bytes"`
}

// Output is what a command has printed on both of its outputs.
type Output struct {
	Info
	// Output is what is kept; Omitted bytes are left out in its middle, where it
	// says so in a line.
	Output  string `json:"output"`
	Omitted uint64 `json:"omitted_bytes"`
}
