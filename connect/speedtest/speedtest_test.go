package speedtest

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection whose other end serve has.
func pair(t *testing.T, serve func(net.Conn) error) (near net.Conn, served <-chan error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve(far) }()
	return near, ended
}

func TestBothWays(t *testing.T) {
	const duration = 1200 * time.Millisecond
	for name, way := range map[string]Direction{"download": Download, "upload": Upload} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, served := pair(t, Serve)
			r, err := Run(t.Context(), conn, way, duration)
			if err != nil {
				t.Fatal(err)
			}
			if err := <-served; err != nil {
				t.Errorf("Serve = %v", err)
			}
			// Which side begins to count first is chance.
			if r.Overall.End <= Every || r.Overall.MegabitsPerSecond() <= 0 || len(r.Intervals) < 2 {
				t.Errorf("Run = %+v, want more than one interval of %v", r, Every)
			}
			var sum int64
			for _, i := range r.Intervals {
				sum += i.Bytes
			}
			if sum != r.Overall.Bytes {
				t.Errorf("the intervals have %d bytes, the whole %d", sum, r.Overall.Bytes)
			}
		})
	}
}

func TestServeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"version":1,"time":1,"direction":0}`:            "version 1",
		`{"version":2,"time":0,"direction":0}`:            "more than 0",
		`{"version":2,"time":3600000000000}`:              "at most 30s",
		`{"version":2,"time":1,"direction":2}`:            "download or an upload",
		`GET / HTTP/1.1`:                                  "invalid character",
		`{"version":2,"time":1,"direction":"` + "x" + `"`: "unexpected end",
	} {
		conn, served := pair(t, Serve)
		if _, err := io.WriteString(conn, text+"\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.Contains(string(answer), `"error":`) || !strings.Contains(string(answer), want) {
			t.Errorf("answer to %s = %q, %v; want an error with %q", text, answer, err, want)
		}
		if err := <-served; err == nil {
			t.Errorf("Serve of %s = nil, want an error", text)
		}
	}
}

func TestGreetingIsBounded(t *testing.T) {
	conn, served := pair(t, Serve)
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, strings.Repeat("x", 2*maxGreeting)) }() // ends with the connection
	if err := <-served; err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("Serve of an endless line = %v, want that it is too long", err)
	}
}

func TestRunSaysWhyItWasRefused(t *testing.T) {
	conn, served := pair(t, func(c net.Conn) error { return Refuse(c, "not now") })
	if _, err := Run(t.Context(), conn, Download, time.Second); err == nil || !strings.Contains(err.Error(), "not now") {
		t.Errorf("Run at a server that refuses = %v, want its words", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Refuse = %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	conn, served := pair(t, func(c net.Conn) error {
		defer c.Close()
		if _, err := readLine(c); err != nil {
			return err
		}
		cancel()
		_, err := io.Copy(io.Discard, c)
		return err
	})
	if _, err := Run(ctx, conn, Download, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("Run whose context ended = %v, want context.Canceled", err)
	}
	<-served
}

func TestMeter(t *testing.T) {
	m := &meter{began: time.Unix(0, 0)}
	for _, c := range []struct {
		at    time.Duration
		bytes int
	}{{500 * time.Millisecond, 10}, {1100 * time.Millisecond, 20}, {3500 * time.Millisecond, 5}} {
		m.count(c.bytes, m.began.Add(c.at))
	}
	want := []Interval{{0, time.Second, 10}, {time.Second, 2 * time.Second, 20}, {2 * time.Second, 3 * time.Second, 0}}
	if len(m.done) != len(want) {
		t.Fatalf("intervals = %+v, want %+v", m.done, want)
	}
	for i := range want {
		if m.done[i] != want[i] {
			t.Errorf("interval %d = %+v, want %+v", i, m.done[i], want[i])
		}
	}
	if got := (Interval{0, time.Second, 1e6}).MegabitsPerSecond(); got != 8 {
		t.Errorf("a megabyte in a second = %v Mbit/s, want 8", got)
	}
}
