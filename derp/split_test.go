package derp

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of in-memory connections.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) Close() error {
	select {
	case <-p.done:
		return net.ErrClosed
	default:
		close(p.done)
		return nil
	}
}

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	return near
}

func TestSilentConnectionsBlockNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := NewSplit(ln)
		start := time.Now()
		silent := ln.dial()
		closed := make(chan time.Duration)
		go func() {
			_, err := silent.Read(make([]byte, 1))
			if err != io.EOF {
				t.Errorf("Read of the silent connection = %v, want EOF", err)
			}
			closed <- time.Since(start)
		}()
		for _, tt := range []struct {
			ln   net.Listener
			text string
		}{{s.Plain(), "GET / HTTP/1.1"}, {s.TLS(), "\x16\x03\x01"}} {
			c := ln.dial()
			go io.WriteString(c, tt.text)
			got, err := tt.ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, len(tt.text))
			if _, err := io.ReadFull(got, buf); err != nil || string(buf) != tt.text {
				t.Errorf("accepted connection reads %q, %v, want %q", buf, err, tt.text)
			}
			if d := time.Since(start); d != 0 {
				t.Errorf("connection that speaks waited %v for the silent one", d)
			}
			got.Close()
		}
		if d := <-closed; d != firstByteTimeout || s.Garbage() != 1 {
			t.Errorf("silent connection closed after %v, garbage %d; want %v, 1", d, s.Garbage(), firstByteTimeout)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Errorf("Close twice = %v", err)
		}
	})
}

func TestSilentConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := NewSplit(ln)
		for range maxUndecided {
			ln.dial()
		}
		if _, err := ln.dial().Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read of connection %d = %v, want EOF at once", maxUndecided+1, err)
		}
		s.Close()
	})
}

func TestClosedBranchLeavesTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		s := NewSplit(ln)
		s.TLS().Close()
		if _, err := s.TLS().Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept of a closed branch = %v, want ErrClosed", err)
		}
		c := ln.dial()
		if _, err := c.Write([]byte{tlsHandshake}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("connection for a closed branch: Read = %v, want EOF", err)
		}
		c = ln.dial()
		go io.WriteString(c, "GET")
		if _, err := s.Plain().Accept(); err != nil {
			t.Errorf("Accept of the other branch = %v", err)
		}
		c.Close()
		s.Close()
		if _, err := s.Plain().Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close = %v, want ErrClosed", err)
		}
	})
}
