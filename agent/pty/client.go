package pty

import (
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"
	"unicode/utf8"
)

// ResetTerminal brings the user's own terminal back to what a shell expects,
// whatever the program left it in: main screen, visible cursor, no mouse
// reports, no pasting brackets. Write it when a Client has ended.
const ResetTerminal = "\x1b[?2026l\x1b[?1049l\x1b[!p\x1b[?7h\x1b[?25h\x1b[?1l\x1b>" +
	"\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1016l\x1b[?1004l\x1b[?2004l" +
	"\x1b[<9u\x1b[0 q\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\\x1b]8;;\x1b\\\x1b[m\r"

// writeTimeout is how long a Client waits for the other side to take input.
// A frozen connection may come back, so it is long.
const writeTimeout = 10 * time.Minute

// Client is the viewing side of the protocol on port 2. Its methods may be
// called at the same time as each other.
type Client struct {
	conn net.Conn

	mu   sync.Mutex
	half []byte // start of a UTF-8 sequence, held back because JSON cannot carry it
}

// NewClient sends init on conn and returns a Client that owns conn. The answer
// to a refused init is text in what Read returns.
func NewClient(conn net.Conn, init Init) (*Client, error) {
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	if err := WriteInit(conn, init); err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	return &Client{conn: conn}, nil
}

// ClientOf returns a Client that owns conn, which the terminal was asked for
// already: a WebSocket of a server, on which each Write is a message.
func ClientOf(conn net.Conn) *Client { return &Client{conn: conn} }

// Read returns what the terminal shows, for the user's terminal as it is. It
// returns io.EOF when the program has ended or the server closed.
func (c *Client) Read(p []byte) (int, error) { return c.conn.Read(p) }

// Write sends what the user typed. The protocol carries UTF-8 only: other bytes
// arrive as U+FFFD, and a character split over two calls is sent with the second.
func (c *Client) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	data := append(c.half, p...)
	whole := completeUTF8(data)
	c.half = append([]byte(nil), data[whole:]...)
	for data = data[:whole]; len(data) > 0; {
		n := len(data)
		if n > maxInput {
			n = completeUTF8(data[:maxInput])
		}
		if err := c.sendLocked(message{Data: string(data[:n])}); err != nil {
			return 0, fmt.Errorf("write to terminal: %w", err)
		}
		data = data[n:]
	}
	return len(p), nil
}

// maxInput is how many bytes of input one message carries.
const maxInput = 64 << 10

// Resize tells the size of the user's terminal in characters.
func (c *Client) Resize(width, height uint16) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.sendLocked(message{Height: height, Width: width}); err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	return nil
}

// sendLocked writes one message; c.mu keeps messages whole.
func (c *Client) sendLocked(m message) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err = c.conn.Write(raw)
	return err
}

// Close leaves the terminal, which goes on without this viewer.
func (c *Client) Close() error { return c.conn.Close() }

// completeUTF8 returns how much of data is left when an unfinished character at
// its end is cut off.
func completeUTF8(data []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(data); back++ {
		b := data[len(data)-back]
		if utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(data[len(data)-back:]) {
				return len(data) - back
			}
			break
		}
	}
	return len(data)
}
