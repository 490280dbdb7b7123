//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const (
	streamFor  = 3 * time.Second
	streamPort = 7
)

// network is how an end of a stream reaches the other one.
type network interface {
	// listen is called once, by the sink.
	listen() (net.Listener, error)
	// learn takes what the other end told about itself, maybe again and again.
	learn(text string) error
	// dial waits until packets take the wanted path. It is called after the
	// first learn.
	dial(ctx context.Context) (net.Conn, error)
	// drops counts what was dropped inside this process.
	drops() uint64
	Close() error
}

// networks start an end; tell sends a line to the other end.
var networks = map[string]func(ctx context.Context, args []string, tell func(string)) (network, error){
	"berth": newBerthEnd,
	"tsnet": newTsnetEnd,
	"tcp":   newTCPEnd,
}

// streamPart is one end of a stream: its arguments are the network, source or
// sink, and those of the network. It ends with its stdin.
func streamPart(ctx context.Context, args []string) error {
	if len(args) < 2 || networks[args[0]] == nil {
		return fmt.Errorf("stream %q: want a network and a role", args)
	}
	n, err := networks[args[0]](ctx, args[2:], func(text string) { fmt.Println("peer " + text) })
	if err != nil {
		return err
	}
	defer n.Close()
	role := source
	if args[1] == "sink" {
		role = sink
	}
	known, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- role(ctx, n, known) }()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := n.learn(strings.TrimPrefix(lines.Text(), "peer ")); err != nil {
			return err
		}
		select {
		case <-known:
		default:
			close(known)
		}
	}
	select {
	case err := <-ended:
		return err
	default:
		return errors.New("stdin ended before the stream")
	}
}

func report(n network, gbps float64) error {
	peak, err := memoryField("/proc/self/status", "VmHWM:")
	if err != nil {
		return err
	}
	raw, err := json.Marshal(streamResult{Gbps: gbps, Drops: n.drops(), PeakRSS: peak})
	if err != nil {
		return err
	}
	_, err = fmt.Printf("done %s\n", raw)
	return err
}

const streamBlock = 256 << 10

// sink takes all that comes over one connection and says so with one byte.
func sink(_ context.Context, n network, _ <-chan struct{}) error {
	l, err := n.listen()
	if err != nil {
		return tellTrouble(err)
	}
	c, err := l.Accept()
	if err != nil {
		return tellTrouble(err)
	}
	defer c.Close()
	if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{c}, make([]byte, streamBlock)); err != nil {
		return tellTrouble(err)
	}
	if _, err := c.Write([]byte{1}); err != nil {
		return tellTrouble(err)
	}
	return report(n, 0)
}

// source writes for a time and measures until all has arrived.
func source(ctx context.Context, n network, known <-chan struct{}) error {
	<-known
	c, err := n.dial(ctx)
	if err != nil {
		return tellTrouble(err)
	}
	defer c.Close()
	block, sent, began := make([]byte, streamBlock), 0, time.Now()
	for time.Since(began) < streamFor {
		k, err := c.Write(block)
		if err != nil {
			return tellTrouble(err)
		}
		sent += k
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return tellTrouble(err)
	}
	if _, err := io.ReadFull(c, block[:1]); err != nil {
		return tellTrouble(err)
	}
	return report(n, float64(sent)*8/1e9/time.Since(began).Seconds())
}

// tellTrouble makes the benchmark end the stream: both ends wait for it.
func tellTrouble(err error) error {
	fmt.Println("trouble:", err)
	os.Exit(1)
	return nil
}

// tcpEnd is the kernel's TCP over loopback.
type tcpEnd struct {
	l    net.Listener
	peer chan string
}

func newTCPEnd(_ context.Context, _ []string, tell func(string)) (network, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	tell(l.Addr().String())
	return &tcpEnd{l: l, peer: make(chan string, 1)}, nil
}

func (t *tcpEnd) listen() (net.Listener, error) { return t.l, nil }
func (t *tcpEnd) learn(text string) error       { t.peer <- text; return nil }
func (t *tcpEnd) drops() uint64                 { return 0 }
func (t *tcpEnd) Close() error                  { return t.l.Close() }

func (t *tcpEnd) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", <-t.peer)
}
