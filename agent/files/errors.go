package files

import (
	"errors"
	"fmt"
)

// Errors by which callers tell what is wrong, besides fs.ErrNotExist and
// fs.ErrPermission.
var (
	// ErrInvalid marks a request that can never work: a relative path, something
	// that is no file, a search that does not match.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge marks what is over a limit.
	ErrTooLarge = errors.New("too large")
	// ErrChanged marks a file that somebody else changed in the meantime.
	ErrChanged = errors.New("changed by somebody else in the meantime")
)

// invalid is an ErrInvalid whose text is only what is wrong.
type invalid string

func (e invalid) Error() string { return string(e) }

func (e invalid) Is(target error) bool { return target == ErrInvalid }

func invalidf(format string, args ...any) error { return invalid(fmt.Sprintf(format, args...)) }
