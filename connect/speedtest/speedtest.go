// Package speedtest measures how much a connection carries, one way at a time. It
// speaks version 2 of Tailscale's speed test, as existing agents and clients do:
//
//	client  {"version":2,"time":<nanoseconds>,"direction":0}   0 = download, 1 = upload
//	server  {} or {"error":"<why not>"}, and a newline
//	        then the sender sends for that time, and closes its side
//
// What is measured is what arrived. A download counts what is read; an upload is
// over when the receiver has closed its side too, because what was written may
// still wait in buffers before.
//
// Upstream's own package dials by itself, counts blocks of 2 MiB, of which a slow
// line has none in a second, and its server ends with the first client that goes
// away; so this is our own.
package speedtest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Direction is which way bytes go, as the client sees it.
type Direction int

// The values are those of the wire.
const (
	Download Direction = 0
	Upload   Direction = 1
)

const (
	version = 2

	// MaxDuration is the longest test that a server makes.
	MaxDuration = 30 * time.Second
	// Every is how long an interval is.
	Every = time.Second

	// slack is how many times the duration of a test its bytes may take, and
	// drain the time on top, until those in the buffers of a slow line are there.
	slack, drain = 4, 10 * time.Second

	// greetTimeout bounds the first messages.
	greetTimeout = 20 * time.Second
	// refuseTimeout bounds a refusal, for which the client need not be asked.
	refuseTimeout = 5 * time.Second
	// maxGreeting bounds each of them, in bytes.
	maxGreeting = 4 << 10
	blockSize   = 128 << 10
)

type request struct {
	Version   int           `json:"version"`
	Duration  time.Duration `json:"time"` // in nanoseconds
	Direction Direction     `json:"direction"`
}

type response struct {
	Error string `json:"error,omitempty"`
}

// Interval is a part of a test.
type Interval struct {
	Start, End time.Duration // since the beginning of the test
	Bytes      int64
}

// MegabitsPerSecond is the throughput, in 10^6 bits.
func (i Interval) MegabitsPerSecond() float64 {
	if i.End <= i.Start {
		return 0
	}
	return float64(i.Bytes) * 8 / 1e6 / (i.End - i.Start).Seconds()
}

// Result is a whole test.
type Result struct {
	Overall   Interval
	Intervals []Interval // of Every, but the last
}

// Run makes one test of that duration over conn, which it closes. It blocks until
// the test is over or ctx ends.
func Run(ctx context.Context, conn net.Conn, way Direction, duration time.Duration) (Result, error) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	r, err := run(conn, way, duration)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return r, err
}

func run(conn net.Conn, way Direction, duration time.Duration) (Result, error) {
	if err := conn.SetDeadline(time.Now().Add(greetTimeout)); err != nil {
		return Result{}, err
	}
	if err := json.NewEncoder(conn).Encode(request{version, duration, way}); err != nil {
		return Result{}, fmt.Errorf("ask for a speed test: %w", err)
	}
	line, err := readLine(conn)
	if err != nil {
		return Result{}, fmt.Errorf("ask for a speed test: %w", err)
	}
	var answer response
	if err := json.Unmarshal(line, &answer); err != nil {
		return Result{}, fmt.Errorf("the other side speaks no speed test: %w", err)
	}
	if answer.Error != "" {
		return Result{}, fmt.Errorf("the other side refuses: %s", answer.Error)
	}
	return measure(conn, way, duration)
}

// measure is what follows the greeting, at the client.
func measure(conn net.Conn, way Direction, duration time.Duration) (Result, error) {
	if err := conn.SetDeadline(time.Now().Add(slack*duration + drain)); err != nil {
		return Result{}, err
	}
	m := &meter{began: time.Now()}
	if way == Download {
		if err := receive(conn, m); err != nil {
			return Result{}, fmt.Errorf("receive: %w", err)
		}
		return m.result(), nil
	}
	if err := send(conn, duration, m); err != nil {
		return Result{}, fmt.Errorf("send: %w", err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil { // until the other side has all
		return Result{}, fmt.Errorf("wait for the end: %w", err)
	}
	return m.result(), nil
}

// Serve makes the test that the client asks for over conn, which it closes. It
// blocks until that is over, which is at most slack times MaxDuration.
func Serve(conn net.Conn) error {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(greetTimeout)); err != nil {
		return err
	}
	line, err := readLine(conn)
	if err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var req request
	err = json.Unmarshal(line, &req)
	if err == nil {
		err = req.check()
	}
	if err != nil {
		return errors.Join(err, json.NewEncoder(conn).Encode(response{Error: err.Error()}))
	}
	if err := conn.SetDeadline(time.Now().Add(slack*req.Duration + drain)); err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(response{}); err != nil {
		return err
	}
	m := &meter{began: time.Now()}
	if req.Direction == Upload {
		return receive(conn, m)
	}
	if err := send(conn, req.Duration, m); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn) // the client closes when it has all
	return err
}

// Refuse tells the client over conn, which it closes, why there is no test for it.
// It blocks until the client has heard it, at most for refuseTimeout.
func Refuse(conn net.Conn, why string) error {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(refuseTimeout)); err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(response{Error: why}); err != nil {
		return err
	}
	// To close before its request came in would reset what was just written.
	_, err := io.CopyN(io.Discard, conn, maxGreeting)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (r request) check() error {
	switch {
	case r.Version != version:
		return fmt.Errorf("version %d of the speed test is not known, want %d", r.Version, version)
	case r.Duration <= 0 || r.Duration > MaxDuration:
		return fmt.Errorf("a test takes more than 0 and at most %v", MaxDuration)
	case r.Direction != Download && r.Direction != Upload:
		return errors.New("want a download or an upload")
	}
	return nil
}

// readLine reads to the newline and not beyond it, where the test's bytes are.
func readLine(conn net.Conn) ([]byte, error) {
	var line []byte
	for one := make([]byte, 1); len(line) < maxGreeting; line = append(line, one[0]) {
		if _, err := io.ReadFull(conn, one); err != nil {
			return nil, err
		}
		if one[0] == '\n' {
			return line, nil
		}
	}
	return nil, errors.New("the line is too long")
}

// send writes for a time and closes its side. The bytes are random, because some
// networks compress.
func send(conn net.Conn, duration time.Duration, m *meter) error {
	block := make([]byte, blockSize)
	_, _ = rand.Read(block) // never fails
	for time.Since(m.began) < duration {
		n, err := conn.Write(block)
		m.count(n, time.Now())
		if err != nil {
			return err
		}
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func receive(conn net.Conn, m *meter) error {
	block := make([]byte, blockSize)
	for {
		n, err := conn.Read(block)
		m.count(n, time.Now())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
