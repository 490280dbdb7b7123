package resume

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is a network whose connections a test can cut.
type wire struct {
	t      *testing.T
	ln     net.Listener
	served sync.WaitGroup

	mu     sync.Mutex
	server *Server
	conns  []net.Conn
	made   int
	limit  func() int // bytes after which a connection breaks by itself; nil: never
}

func newWire(t *testing.T, cfg ServerConfig) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, server: NewServer(cfg), ln: ln}
	w.served.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			server := w.current()
			w.served.Go(func() { _ = server.ServeConn(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		if err := w.server.Close(); err != nil {
			t.Error(err)
		}
		w.cut()
		w.served.Wait()
	})
	return w
}

func (w *wire) open(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", w.ln.Addr().String())
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit != nil {
		conn = &frail{Conn: conn, left: w.limit()}
	}
	w.conns = append(w.conns, conn)
	w.made++
	return conn, nil
}

func (w *wire) current() *Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.server
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.conns {
		conn.Close()
	}
	w.conns = nil
}

func (w *wire) dial(cfg Config) *Stream {
	w.t.Helper()
	cfg.Open = w.open
	s, err := Dial(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	return s
}

// frail breaks in the middle of a write.
type frail struct {
	net.Conn
	left int
}

func (f *frail) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		f.Conn.Write(p[:len(p)/2])
		f.Conn.Close()
		return len(p) / 2, errors.New("broken on purpose")
	}
	return f.Conn.Write(p)
}

func echo(_ context.Context, _ byte, conn net.Conn) {
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
	_ = conn.(*Stream).CloseWrite()
}

func TestEchoWithoutABreak(t *testing.T) {
	s := newWire(t, ServerConfig{Handle: echo}).dial(Config{})
	for _, text := range []string{"a", "long " + string(make([]byte, 100_000))} {
		if _, err := io.WriteString(s, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(s, got); err != nil || string(got) != text {
			t.Fatalf("echo of %d bytes = %d bytes, %v", len(text), len(got), err)
		}
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read after both ends = %d, %v, want EOF", n, err)
	}
}

// Both directions at once, each over hundreds of connections that break in the
// middle of frames.
func TestNothingIsLostOrDoubled(t *testing.T) {
	w := newWire(t, ServerConfig{Handle: echo})
	random := rand.New(rand.NewPCG(1, 2))
	w.limit = func() int { return random.IntN(300_000) }
	s := w.dial(Config{})
	const size = 8 << 20
	sent, got := sha256.New(), sha256.New()
	var writing sync.WaitGroup
	writing.Go(func() {
		source := rand.NewChaCha8([32]byte{1})
		if n, err := io.CopyN(io.MultiWriter(sent, s), source, size); err != nil {
			t.Errorf("written %d bytes: %v", n, err)
		}
		if err := s.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	n, err := io.Copy(got, s)
	writing.Wait()
	if err != nil || n != size || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Errorf("echo of %d bytes = %d bytes, %v, equal %v", size, n, err, bytes.Equal(sent.Sum(nil), got.Sum(nil)))
	}
	if w.made < 20 {
		t.Errorf("the stream took %d connections, want many", w.made)
	}
}

func TestGoesOnAfterTheClientWasAway(t *testing.T) {
	written := make(chan struct{})
	w := newWire(t, ServerConfig{Handle: func(_ context.Context, _ byte, conn net.Conn) {
		defer conn.Close()
		if _, err := io.ReadFull(conn, make([]byte, 2)); err != nil {
			t.Error(err)
		}
		io.WriteString(conn, "while you were away")
		close(written)
	}})
	away := make(chan struct{})
	lost := make(chan struct{})
	opened := 0
	s, err := Dial(t.Context(), Config{Open: func(ctx context.Context) (net.Conn, error) {
		if opened++; opened > 1 {
			close(lost)
			<-away
		}
		return w.open(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	io.WriteString(s, "o")
	w.cut()
	<-lost
	if s.Connected() {
		t.Error("Connected = true after the connection broke")
	}
	io.WriteString(s, "k") // kept until there is a connection
	close(away)
	<-written
	if got, err := io.ReadAll(s); err != nil || string(got) != "while you were away" {
		t.Errorf("ReadAll = %q, %v", got, err)
	}
}

func TestClosedServerStreamIsDeliveredAndForgotten(t *testing.T) {
	w := newWire(t, ServerConfig{Handle: func(_ context.Context, _ byte, conn net.Conn) {
		io.WriteString(conn, "bye")
		conn.Close()
	}})
	s := w.dial(Config{})
	if got, err := io.ReadAll(s); err != nil || string(got) != "bye" {
		t.Errorf("ReadAll = %q, %v", got, err)
	}
	s.Close()
	w.cut()
	if err := w.server.Close(); err != nil { // waits for the handlers only
		t.Fatal(err)
	}
	if all, _ := w.server.Streams(); all != 0 {
		t.Errorf("%d streams are left", all)
	}
}

func TestCloseTellsTheServerAfterAllThatWasWritten(t *testing.T) {
	got := make(chan []byte)
	w := newWire(t, ServerConfig{Handle: func(_ context.Context, _ byte, conn net.Conn) {
		defer conn.Close()
		all, _ := io.ReadAll(conn)
		got <- all
	}})
	for _, size := range []int{1, ackIdle - 1, ackIdle, 3 << 20} {
		s := w.dial(Config{})
		want := bytes.Repeat([]byte("x"), size)
		if _, err := s.Write(want); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if all := <-got; !bytes.Equal(all, want) {
			t.Errorf("the server read %d bytes, want %d", len(all), len(want))
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close = %v, want net.ErrClosed", err)
		}
	}
}

func TestOpenSaysThatItIsOver(t *testing.T) {
	w := newWire(t, ServerConfig{Handle: echo})
	why := errors.New("nobody wants this")
	opened := 0
	s, err := Dial(t.Context(), Config{Open: func(ctx context.Context) (net.Conn, error) {
		if opened++; opened > 1 {
			return nil, fmt.Errorf("%w: %w", ErrOver, why)
		}
		return w.open(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	io.WriteString(s, "a")
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	w.cut()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrOver) || !errors.Is(err, why) {
		t.Errorf("Read of a stream that Open has ended = %v, want %v", err, ErrOver)
	}
}

func TestUnknownStreamIsGone(t *testing.T) {
	w := newWire(t, ServerConfig{Handle: echo})
	s := w.dial(Config{})
	io.WriteString(s, "a")
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	old := w.server
	w.mu.Lock()
	w.server = NewServer(ServerConfig{Handle: echo}) // as after a restart of its process
	w.mu.Unlock()
	w.cut()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrGone) {
		t.Errorf("Read = %v, want ErrGone", err)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
}

func TestServerExpiresStreams(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error)
	w := newWire(t, ServerConfig{Keep: time.Millisecond, Handle: func(_ context.Context, _ byte, conn net.Conn) {
		defer conn.Close()
		close(began)
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}})
	s, err := Dial(t.Context(), Config{Keep: time.Millisecond, Open: func(ctx context.Context) (net.Conn, error) {
		if w.made > 0 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return w.open(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	<-began
	w.cut()
	if err := <-ended; !errors.Is(err, ErrExpired) {
		t.Errorf("the server's Read = %v, want ErrExpired", err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrExpired) {
		t.Errorf("the client's Read = %v, want ErrExpired", err)
	}
}

func TestTooManyStreams(t *testing.T) {
	w := newWire(t, ServerConfig{Streams: 1, Handle: echo})
	first := w.dial(Config{})
	io.WriteString(first, "a")
	if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.dial(Config{}).Read(make([]byte, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("Read of one too many = %v, want ErrFull", err)
	}
}

// Clients that were killed say no goodbye; they must not lock their owner out.
func TestStreamsOfDeadClientsMakeRoom(t *testing.T) {
	ended := make(chan error, 2)
	w := newWire(t, ServerConfig{Streams: 1, Handle: func(_ context.Context, _ byte, conn net.Conn) {
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		conn.Write([]byte("b"))
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}})
	dead, err := w.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, headerSize)
	header{kind: frameData, length: 1}.put(frame)
	if _, err := dead.Write(append(greeting{fresh: true, id: ID{1}}.append(nil), append(frame, 'a')...)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(dead, make([]byte, answerSize)); err != nil {
		t.Fatal(err)
	}
	dead.Close()
	for _, waiting := w.server.Streams(); waiting == 0; _, waiting = w.server.Streams() {
		runtime.Gosched()
	}
	next := w.dial(Config{})
	io.WriteString(next, "a")
	if _, err := io.ReadFull(next, make([]byte, 1)); err != nil {
		t.Errorf("a stream after that of a dead client: %v", err)
	}
	if err := <-ended; !errors.Is(err, ErrExpired) {
		t.Errorf("the dead client's stream ended with %v, want ErrExpired", err)
	}
}

func TestSlowReaderHoldsTheWriter(t *testing.T) {
	w := newWire(t, ServerConfig{Handle: func(ctx context.Context, _ byte, conn net.Conn) {
		defer conn.Close()
		<-ctx.Done()
	}})
	s := w.dial(Config{})
	if err := s.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := s.Write(make([]byte, 3*Window))
	if n != Window || !errors.Is(err, context.DeadlineExceeded) && err.Error() != "i/o timeout" {
		t.Errorf("Write to nobody = %d, %v, want %d and a time-out", n, err, Window)
	}
	if err := s.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("Read after its deadline = nil")
	}
}

func FuzzServeConn(f *testing.F) {
	hello := greeting{fresh: true, id: ID{1}}.append(nil)
	frame := func(kind byte, n int, taken uint64, payload string) []byte {
		b := make([]byte, headerSize)
		header{kind, n, taken}.put(b)
		return append(b, payload...)
	}
	f.Add(append(bytes.Clone(hello), frame(frameData, 3, 0, "abc")...))
	f.Add(append(bytes.Clone(hello), frame(frameFin, 0, 0, "")...))
	f.Add(append(bytes.Clone(hello), frame(frameAck, 0, 1<<60, "")...))
	f.Add(append(bytes.Clone(hello), frame(frameEnd, 0, 0, "")...))
	f.Add([]byte("SSH-2.0-OpenSSH\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		server := NewServer(ServerConfig{Handle: echo})
		near, far := net.Pipe()
		var both sync.WaitGroup
		both.Go(func() { io.Copy(io.Discard, near) })
		both.Go(func() {
			near.Write(raw)
			near.Close()
		})
		_ = server.ServeConn(far)
		both.Wait()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if all, _ := server.Streams(); all != 0 {
			t.Errorf("%d streams are left", all)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	for _, name := range []string{"tcp", "resume"} {
		b.Run(name, func(b *testing.B) {
			done := make(chan int64, 1)
			sink := func(_ context.Context, _ byte, conn net.Conn) {
				defer conn.Close()
				n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 64<<10))
				done <- n
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			server := NewServer(ServerConfig{Handle: sink})
			defer server.Close()
			go func() {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				if name == "tcp" {
					sink(b.Context(), 0, conn)
				} else {
					_ = server.ServeConn(conn)
				}
			}()
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			if name == "resume" {
				raw := conn
				conn, err = Dial(b.Context(), Config{Open: func(context.Context) (net.Conn, error) { return raw, nil }})
				if err != nil {
					b.Fatal(err)
				}
			}
			p := make([]byte, 32<<10)
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if _, err := conn.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			conn.(interface{ CloseWrite() error }).CloseWrite()
			<-done
			conn.Close()
		})
	}
}
