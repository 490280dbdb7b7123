package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"storj.io/drpc"
)

// lingering returns a handler whose calls linger and tell what next received.
func lingeringHandler(told chan<- string) handlerFunc {
	return func(s drpc.Stream, _ string) error {
		CallOf(s.Context()).Linger(func() bool {
			b, err := recv(s)
			told <- fmt.Sprintf("%s %v", b, err)
			return err == nil
		})
		return s.CloseSend() // as dispatchers do
	}
}

func TestLingeringCall(t *testing.T) {
	told := make(chan string)
	conn := calling(t, func(s drpc.Stream, _ string) error {
		call, woken := CallOf(s.Context()), 0
		call.Linger(func() bool {
			if s.Context().Err() != nil {
				told <- "ended"
				return false
			}
			woken++
			return send(s, []byte(fmt.Sprint("woken ", woken))) == nil
		})
		call.Wake()
		go func() {
			for range 3 {
				<-told
				call.Wake()
			}
		}()
		return s.CloseSend()
	})
	s := opened(t, conn)
	if err := s.(interface{ RawFlush() error }).RawFlush(); err != nil { // a call begins with what is sent
		t.Fatal(err)
	}
	for i := range 4 {
		if got, err := recv(s); err != nil || string(got) != fmt.Sprint("woken ", i+1) {
			t.Fatalf("Recv = %q, %v, want what wake-up %d sends", got, err, i+1)
		}
		if i < 3 {
			told <- "again"
		}
	}
	s.Close()
	if got := <-told; got != "ended" {
		t.Errorf("told %q, want the end", got)
	}
}

func TestLingeringCallReceives(t *testing.T) {
	told := make(chan string)
	conn := calling(t, lingeringHandler(told))
	s := opened(t, conn)
	for i := range 100 {
		text := fmt.Sprint("message ", i)
		if err := send(s, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := <-told; got != text+" <nil>" {
			t.Fatalf("next received %q, want %q", got, text)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if got := <-told; got != " EOF" {
		t.Errorf("after the last message next received %q, want EOF", got)
	}
	if _, err := recv(s); err != io.EOF {
		t.Errorf("the caller received %v, want the end of the answer", err)
	}
}

// What was said last is told last, however fast it came.
func TestLingeringCallReceivesAllBeforeTheEnd(t *testing.T) {
	told := make(chan string, 100)
	conn := calling(t, lingeringHandler(told))
	s := opened(t, conn)
	for i := range 50 {
		if err := send(s, []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if got := <-told; got != fmt.Sprint(i, " <nil>") {
			t.Fatalf("next received %q, want message %d", got, i)
		}
	}
	if got := <-told; got != " EOF" {
		t.Errorf("after the last message next received %q, want EOF", got)
	}
}

// Close by somebody else ends a lingering call.
func TestLingeringCallIsClosed(t *testing.T) {
	told, calls := make(chan string, 1), make(chan *Call, 1)
	conn := calling(t, func(s drpc.Stream, rpc string) error {
		calls <- CallOf(s.Context())
		return lingeringHandler(told)(s, rpc)
	})
	s := opened(t, conn)
	if err := send(s, []byte("x")); err != nil {
		t.Fatal(err)
	}
	<-told
	if err := (<-calls).Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if got := <-told; strings.HasSuffix(got, "<nil>") {
		t.Errorf("next received %q, want that the call has ended", got)
	}
	if _, err := recv(s); err != io.EOF {
		t.Errorf("the caller received %v, want EOF", err)
	}
}

// A session whose calls wait has one goroutine; Serve waits for their ends.
func TestWaitingCallsNeedNoGoroutines(t *testing.T) {
	told := make(chan string, 100)
	far, _, wait := serving(t, lingeringHandler(told))
	conn, err := NewClient(far)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := send(opened(t, conn), []byte("x")); err != nil {
			t.Fatal(err)
		}
		<-told
	}
	for serverGoroutines() > 1 { // the last may still be ending
		runtime.Gosched()
	}
	conn.Close()
	_ = wait() // maybe a reset, for what the caller had not read
	if len(told) != 50 {
		t.Errorf("%d calls were told of the end before Serve returned, want 50", len(told))
	}
}

func serverGoroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Count(stacks, []byte("wire.(*Server).Serve(")) + bytes.Count(stacks, []byte("wire.(*Call).work(")) +
		bytes.Count(stacks, []byte("wire.(*Call).run("))
}

func TestHandlerThatLingersAndFails(t *testing.T) {
	conn := calling(t, func(s drpc.Stream, _ string) error {
		CallOf(s.Context()).Linger(func() bool { t.Error("next was called"); return false })
		return errors.New("after all")
	})
	in, out := []byte("x"), []byte(nil)
	if err := conn.Invoke(t.Context(), "rpc", rawBytes{}, &in, &out); err == nil || err.Error() != "after all" {
		t.Errorf("Invoke = %v, want the handler's error", err)
	}
}
