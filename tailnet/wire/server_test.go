package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/yamux"
	"go.uber.org/goleak"
	"storj.io/drpc"
	"storj.io/drpc/drpcerr"
	"storj.io/drpc/drpcwire"
)

// rawBytes is an encoding of messages that are *[]byte.
type rawBytes struct{}

func (rawBytes) Marshal(m drpc.Message) ([]byte, error) { return *m.(*[]byte), nil }
func (rawBytes) Unmarshal(b []byte, m drpc.Message) error {
	*m.(*[]byte) = bytes.Clone(b)
	return nil
}

func send(s drpc.Stream, b []byte) error { return s.MsgSend(&b, rawBytes{}) }

func recv(s drpc.Stream) (b []byte, err error) {
	err = s.MsgRecv(&b, rawBytes{})
	return b, err
}

// handlerFunc is a handler of every call.
type handlerFunc func(stream drpc.Stream, rpc string) error

func (f handlerFunc) HandleRPC(s drpc.Stream, rpc string) error { return f(s, rpc) }

// serving serves handler over TCP and returns the caller's end, and the
// server, of the session. wait waits for the end of Serve.
func serving(t *testing.T, handler handlerFunc) (far net.Conn, s *Server, wait func() error) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if far, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s = NewServer(near)
	var result error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result = s.Serve(context.Background(), handler)
	}()
	t.Cleanup(func() {
		far.Close()
		<-done
	})
	return far, s, func() error {
		<-done
		return result
	}
}

// calling is serving with the calling side of the libraries.
func calling(t *testing.T, handler handlerFunc) *Conn {
	t.Helper()
	far, _, _ := serving(t, handler)
	conn, err := NewClient(far)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func opened(t *testing.T, conn *Conn) drpc.Stream {
	t.Helper()
	s, err := conn.NewStream(t.Context(), "rpc", rawBytes{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pattern is n bytes that no other i has.
func pattern(i, n int) []byte {
	b := bytes.Repeat([]byte{byte(i), byte(i >> 8), 7}, n/3+1)
	return b[:n]
}

// A side sends more than the window holds to a reader that begins late.
func TestFlowControl(t *testing.T) {
	const count, size = 40, 300 << 10
	write := func(s drpc.Stream) error {
		for i := range count {
			if err := send(s, pattern(i, size)); err != nil {
				return err
			}
		}
		return nil
	}
	read := func(s drpc.Stream) error {
		for i := range count {
			if got, err := recv(s); err != nil || !bytes.Equal(got, pattern(i, size)) {
				return fmt.Errorf("message %d has %d bytes, %w", i, len(got), err)
			}
		}
		return nil
	}
	for name, ends := range map[string]struct{ caller, handler func(drpc.Stream) error }{
		"up": {write, read}, "down": {read, write},
	} {
		t.Run(name, func(t *testing.T) {
			begin, handled, called := make(chan struct{}), make(chan error, 1), make(chan error, 1)
			conn := calling(t, func(s drpc.Stream, _ string) error {
				if name == "up" {
					<-begin
				}
				err := ends.handler(s)
				handled <- err
				return err
			})
			s := opened(t, conn)
			go func() {
				if name == "down" {
					<-begin
				}
				called <- ends.caller(s)
			}()
			if _, err := conn.session.Ping(); err != nil { // frames that are no data pass
				t.Error(err)
			}
			select {
			case <-handled:
				t.Error("the handler was done before anybody read")
			case <-called:
				t.Error("the caller was done before anybody read")
			default:
			}
			close(begin)
			if err := errors.Join(<-handled, <-called); err != nil {
				t.Errorf("transfer: %v", err)
			}
			if _, err := recv(s); err != io.EOF {
				t.Errorf("end of the call = %v, want EOF", err)
			}
		})
	}
}

func TestCallerThatHasSaidAllHearsTheRest(t *testing.T) {
	conn := calling(t, func(s drpc.Stream, _ string) error {
		for {
			if _, err := recv(s); err == io.EOF {
				break
			} else if err != nil {
				return err
			}
		}
		for i := range 3 {
			if err := send(s, pattern(i, 10)); err != nil {
				return err
			}
		}
		return nil
	})
	s := opened(t, conn)
	if err := errors.Join(send(s, []byte("one")), s.CloseSend()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if got, err := recv(s); err != nil || !bytes.Equal(got, pattern(i, 10)) {
			t.Errorf("message %d after CloseSend = %q, %v", i, got, err)
		}
	}
	if _, err := recv(s); err != io.EOF {
		t.Errorf("end = %v, want EOF", err)
	}
}

func TestErrorKeepsItsCode(t *testing.T) {
	conn := calling(t, func(drpc.Stream, string) error { return drpcerr.WithCode(errors.New("nothing here"), 42) })
	in, out := []byte("x"), []byte(nil)
	err := conn.Invoke(t.Context(), "rpc", rawBytes{}, &in, &out)
	if err == nil || drpcerr.Code(err) != 42 || err.Error() != "nothing here" {
		t.Errorf("Invoke = %v with code %d, want the handler's error", err, drpcerr.Code(err))
	}
}

// A call ends for its handler when the caller cancels, closes or breaks it.
func TestCallerEndsACall(t *testing.T) {
	for name, end := range map[string]func(*Conn, context.CancelFunc, drpc.Stream){
		"cancel":  func(_ *Conn, cancel context.CancelFunc, _ drpc.Stream) { cancel() },
		"close":   func(_ *Conn, _ context.CancelFunc, s drpc.Stream) { s.Close() },
		"session": func(c *Conn, _ context.CancelFunc, _ drpc.Stream) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan error, 1)
			conn := calling(t, func(s drpc.Stream, _ string) error {
				_, err := recv(s)
				<-s.Context().Done()
				_, again := recv(s)
				got <- errors.Join(err, again)
				return nil
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := conn.NewStream(ctx, "rpc", rawBytes{})
			if err != nil {
				t.Fatal(err)
			}
			if err := send(s, []byte("x")); err != nil {
				t.Fatal(err)
			}
			end(conn, cancel, s)
			if err := <-got; err == nil {
				t.Error("the handler could receive after the end")
			}
		})
	}
}

func TestManyCalls(t *testing.T) {
	conn := calling(t, func(s drpc.Stream, rpc string) error {
		b, err := recv(s)
		if err != nil {
			return err
		}
		return send(s, b)
	})
	var calls sync.WaitGroup
	for i := range 500 {
		calls.Go(func() {
			in, out := pattern(i, 2000), []byte(nil)
			if err := conn.Invoke(t.Context(), "rpc", rawBytes{}, &in, &out); err != nil || !bytes.Equal(in, out) {
				t.Errorf("call %d of many = %d bytes, %v", i, len(out), err)
			}
		})
	}
	calls.Wait()
}

func TestStreamsBeyondTheLimitAreReset(t *testing.T) {
	far, _, _ := serving(t, func(drpc.Stream, string) error { return nil })
	session, err := yamux.Client(far, config())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var last *yamux.Stream
	for range maxCalls + 1 {
		if last, err = session.OpenStream(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := last.Read(make([]byte, 1)); !errors.Is(err, yamux.ErrConnectionReset) {
		t.Errorf("Read of stream %d = %v, want a reset", maxCalls+1, err)
	}
	if _, err := session.Ping(); err != nil {
		t.Errorf("Ping after the reset = %v, want the session to go on", err)
	}
}

// frame is a yamux frame, dRPC in it if there is any.
func frame(kind byte, flags uint16, id, length uint32, packets ...drpcwire.Frame) []byte {
	b := make([]byte, headerSize)
	for _, p := range packets {
		b = drpcwire.AppendFrame(b, p)
	}
	if len(packets) > 0 {
		length = uint32(len(b) - headerSize)
	}
	header{kind: kind, flags: flags, id: id, length: length}.put(b)
	return b
}

func packet(message uint64, kind drpcwire.Kind, data []byte) drpcwire.Frame {
	return drpcwire.Frame{ID: drpcwire.ID{Stream: 1, Message: message}, Kind: kind, Data: data, Done: true}
}

// begin begins a call on a stream.
func begin(id uint32) []byte {
	return frame(typeData, flagSYN, id, 0, packet(1, drpcwire.KindInvoke, []byte("rpc")))
}

func TestUnreadMessagesAreBounded(t *testing.T) {
	far, s, _ := serving(t, func(s drpc.Stream, _ string) error {
		<-s.Context().Done()
		return nil
	})
	resets := make(chan uint32, maxCalls)
	go func() {
		defer close(resets)
		for head := [headerSize]byte{}; ; {
			if _, err := io.ReadFull(far, head[:]); err != nil {
				return
			}
			if h, err := parseHeader(&head); err == nil && h.flags&flagRST != 0 {
				resets <- h.id
			}
		}
	}()
	big := make([]byte, 200<<10)
	for id := uint32(1); id < 2*100; id += 2 {
		for _, b := range [][]byte{begin(id), frame(typeData, 0, id, 0, packet(2, drpcwire.KindMessage, big))} {
			if _, err := far.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-resets
	if got := s.buffered.Load(); got > maxBuffered+firstWindow {
		t.Errorf("%d bytes are held, want about %d at most", got, maxBuffered)
	}
	far.Close()
	for range resets {
	}
}

// What breaks the rules of yamux ends the session, and is told so.
func TestProtocolErrors(t *testing.T) {
	syn := frame(typeWindow, flagSYN, 1, 0)
	for name, frames := range map[string][][]byte{
		"version":         {{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		"type":            {{0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		"begins twice":    {syn, syn},
		"window":          {syn, frame(typeData, 0, 1, firstWindow+1)},
		"ends twice":      {begin(1), frame(typeWindow, flagFIN, 1, 0), frame(typeWindow, flagFIN, 1, 0)},
		"told to go away": {frame(typeGoAway, 0, 0, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			hold := make(chan struct{})
			far, _, wait := serving(t, func(drpc.Stream, string) error { <-hold; return nil })
			for _, b := range frames {
				if _, err := far.Write(b); err != nil {
					t.Fatal(err)
				}
			}
			all, _ := io.ReadAll(far)
			close(hold)
			if want := frame(typeGoAway, 0, 0, protocolError); !bytes.HasSuffix(all, want) {
				t.Errorf("the other side read %x, want a go-away at the end", all)
			}
			if err := wait(); !errors.Is(err, errProtocol) {
				t.Errorf("Serve = %v, want a protocol error", err)
			}
		})
	}
}

func TestGoAwayLetsCallsGoOn(t *testing.T) {
	conn := calling(t, func(s drpc.Stream, _ string) error {
		b, err := recv(s)
		if err != nil {
			return err
		}
		return send(s, b)
	})
	s := opened(t, conn)
	if err := conn.session.GoAway(); err != nil {
		t.Fatal(err)
	}
	if err := send(s, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got, err := recv(s); err != nil || string(got) != "x" {
		t.Errorf("Recv after our go-away = %q, %v", got, err)
	}
}

func TestCallerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ended := make(chan error, 1)
		var running sync.WaitGroup
		running.Go(func() {
			_ = NewServer(near).Serve(t.Context(), handlerFunc(func(s drpc.Stream, _ string) error {
				err := send(s, make([]byte, firstWindow+1))
				ended <- err
				return err
			}))
		})
		running.Go(func() { _, _ = io.Copy(io.Discard, far) }) // yamux reads, the caller does not
		began := time.Now()
		if _, err := far.Write(begin(1)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, errSlow) || time.Since(began) != writeTimeout {
			t.Errorf("MsgSend = %v after %v, want it to fail after %v", err, time.Since(began), writeTimeout)
		}
		far.Close()
		running.Wait()
	})
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := NewServer(near)
		var running sync.WaitGroup
		running.Go(func() { _ = s.Serve(t.Context(), nil) })
		<-time.After(time.Minute) // of the bubble's clock
		if got := s.Silence(); got != time.Minute {
			t.Errorf("Silence = %v, want a minute", got)
		}
		running.Go(func() { _ = s.Ping() })
		question := make([]byte, headerSize)
		if _, err := io.ReadFull(far, question); err != nil || question[1] != typePing || question[3] != flagSYN {
			t.Fatalf("Ping sent %x, %v", question, err)
		}
		question[3] = flagACK
		if _, err := far.Write(question); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := s.Silence(); got != 0 {
			t.Errorf("Silence after an answer = %v, want 0", got)
		}
		far.Close()
		running.Wait()
	})
}
