//go:build linux

package sshd

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// Opcodes of encoded terminal modes (RFC 4254 §8) that are not a flag or a
// character: the end, the two sizes of a character and the first opcode that
// is not followed by a uint32.
const (
	modeEnd       = 0
	modeCS7       = 90
	modeCS8       = 91
	modeUndefined = 160
)

// noChar is how the wire says that a special character is switched off.
const noChar = 255

// modeChars maps opcodes to special characters.
var modeChars = map[byte]int{
	1: unix.VINTR, 2: unix.VQUIT, 3: unix.VERASE, 4: unix.VKILL, 5: unix.VEOF,
	6: unix.VEOL, 7: unix.VEOL2, 8: unix.VSTART, 9: unix.VSTOP, 10: unix.VSUSP,
	12: unix.VREPRINT, 13: unix.VWERASE, 14: unix.VLNEXT, 16: unix.VSWTC,
	18: unix.VDISCARD,
}

var (
	modeInput = map[byte]uint32{
		30: unix.IGNPAR, 31: unix.PARMRK, 32: unix.INPCK, 33: unix.ISTRIP,
		34: unix.INLCR, 35: unix.IGNCR, 36: unix.ICRNL, 37: unix.IUCLC,
		38: unix.IXON, 39: unix.IXANY, 40: unix.IXOFF, 41: unix.IMAXBEL,
		42: unix.IUTF8,
	}
	modeLocal = map[byte]uint32{
		50: unix.ISIG, 51: unix.ICANON, 52: unix.XCASE, 53: unix.ECHO,
		54: unix.ECHOE, 55: unix.ECHOK, 56: unix.ECHONL, 57: unix.NOFLSH,
		58: unix.TOSTOP, 59: unix.IEXTEN, 60: unix.ECHOCTL, 61: unix.ECHOKE,
		62: unix.PENDIN,
	}
	modeOutput = map[byte]uint32{
		70: unix.OPOST, 71: unix.OLCUC, 72: unix.ONLCR, 73: unix.OCRNL,
		74: unix.ONOCR, 75: unix.ONLRET,
	}
	modeControl = map[byte]uint32{92: unix.PARENB, 93: unix.PARODD}
)

var errModesCut = errors.New("terminal modes end in the middle of an argument")

// applyModes changes t as the encoded modes say. Opcodes that Linux has no
// setting for are skipped, and so are line speeds, which a PTY has not.
func applyModes(t *unix.Termios, modes string) error {
	b := []byte(modes)
	for len(b) > 0 && b[0] != modeEnd && b[0] < modeUndefined {
		if len(b) < 5 {
			return errModesCut
		}
		applyMode(t, b[0], binary.BigEndian.Uint32(b[1:]))
		b = b[5:]
	}
	return nil
}

func applyMode(t *unix.Termios, op byte, arg uint32) {
	if i, ok := modeChars[op]; ok {
		t.Cc[i] = modeChar(arg)
	}
	setFlag(&t.Iflag, modeInput[op], arg)
	setFlag(&t.Lflag, modeLocal[op], arg)
	setFlag(&t.Oflag, modeOutput[op], arg)
	setFlag(&t.Cflag, modeControl[op], arg)
	switch {
	case op == modeCS7 && arg != 0:
		t.Cflag = t.Cflag&^unix.CSIZE | unix.CS7
	case op == modeCS8 && arg != 0:
		t.Cflag = t.Cflag&^unix.CSIZE | unix.CS8
	}
}

func modeChar(arg uint32) uint8 {
	if arg == noChar {
		return 0
	}
	return uint8(arg)
}

func setFlag(flags *uint32, bit, arg uint32) {
	if arg != 0 {
		*flags |= bit
	} else {
		*flags &^= bit
	}
}
