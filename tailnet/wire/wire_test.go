package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcwire"

	"github.com/berthdev/berth/tailnet/proto"
)

// service answers Coordinate by echoing an error text for each request, and
// refuses the rest.
type service struct {
	*proto.DRPCTailnetUnimplementedServer
	ended chan struct{} // closed when Coordinate returns
}

func (s service) RefreshResumeToken(context.Context, *proto.RefreshResumeTokenRequest) (*proto.RefreshResumeTokenResponse, error) {
	return &proto.RefreshResumeTokenResponse{Token: "token"}, nil
}

func (s service) Coordinate(stream proto.DRPCTailnet_CoordinateStream) error {
	if s.ended != nil {
		defer close(s.ended)
	}
	for {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&proto.CoordinateResponse{Error: req.GetUpdateSelf().GetNode().GetDisco()}); err != nil {
			return err
		}
	}
}

func pair(t *testing.T) (*Conn, service) {
	t.Helper()
	svc := service{ended: make(chan struct{})}
	mux := drpcmux.New()
	if err := proto.DRPCRegisterTailnet(mux, svc); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(served)
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if err := NewServer(NewSocket(ws)).Serve(r.Context(), mux); err != nil {
			t.Errorf("Serve = %v, want nil when the client leaves", err)
		}
	}))
	ws, _, err := websocket.Dial(t.Context(), ts.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(Stream(context.Background(), ws))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		<-served
		ts.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		goleak.VerifyNone(t)
	})
	return client, svc
}

func TestCallsAndStreamsShareASession(t *testing.T) {
	conn, svc := pair(t)
	client := proto.NewDRPCTailnetClient(conn)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := client.Coordinate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", MaxMessage-100)
	for _, text := range []string{"a", big, "b"} {
		if err := stream.Send(&proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: &proto.Node{Disco: text}}}); err != nil {
			t.Fatal(err)
		}
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got.GetError() != text {
			t.Fatalf("Recv = %d bytes, want the %d sent", len(got.GetError()), len(text))
		}
		if answer, err := client.RefreshResumeToken(t.Context(), &proto.RefreshResumeTokenRequest{}); err != nil || answer.GetToken() != "token" {
			t.Fatalf("RefreshResumeToken beside an open stream = %v, %v", answer, err)
		}
	}
	cancel()
	<-svc.ended // else the server's stream goes on after its client cancelled it
	if _, err := client.RefreshResumeToken(t.Context(), &proto.RefreshResumeTokenRequest{}); err != nil {
		t.Errorf("a call after a cancelled stream = %v, want the session to go on", err)
	}
}

func TestUnknownMethodIsUnimplemented(t *testing.T) {
	conn, _ := pair(t)
	_, err := proto.NewDRPCTailnetClient(conn).PostTelemetry(t.Context(), &proto.TelemetryRequest{})
	if !Unimplemented(err) {
		t.Errorf("PostTelemetry = %v, want Unimplemented", err)
	}
	if Unimplemented(io.EOF) || Unimplemented(nil) {
		t.Error("Unimplemented(io.EOF or nil) = true")
	}
}

func TestMessageOverTheLimitEndsTheCallOnly(t *testing.T) {
	conn, _ := pair(t)
	client := proto.NewDRPCTailnetClient(conn)
	stream, err := client.Coordinate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tooBig := strings.Repeat("x", MaxMessage+1)
	if err := stream.Send(&proto.CoordinateRequest{UpdateSelf: &proto.CoordinateRequest_UpdateSelf{Node: &proto.Node{Disco: tooBig}}}); err == nil {
		_, err = stream.Recv()
		if err == nil {
			t.Fatal("a message over the limit was answered")
		}
	}
	if _, err := client.RefreshResumeToken(t.Context(), &proto.RefreshResumeTokenRequest{}); err != nil {
		t.Errorf("a call after a message over the limit = %v, want the session to go on", err)
	}
}

func TestCauseTellsTheCloseReason(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		ws.Close(websocket.StatusPolicyViolation, "replaced")
	}))
	defer ts.Close()
	ws, _, err := websocket.Dial(t.Context(), ts.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := NewClient(Stream(context.Background(), ws))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-conn.Closed()
	var closed websocket.CloseError
	if !errors.As(conn.Cause(), &closed) || closed.Reason != "replaced" {
		t.Errorf("Cause = %v, want the close reason of the other side", conn.Cause())
	}
}

// A caller that is writing when the other side closes sees its write fail,
// maybe before the close frame was read.
func TestCauseOfACallerThatWrites(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if _, _, err := ws.Read(r.Context()); err != nil {
			t.Error(err)
		}
		ws.Close(websocket.StatusPolicyViolation, "replaced")
	}))
	defer ts.Close()
	for range 50 {
		ws, _, err := websocket.Dial(t.Context(), ts.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := NewClient(Stream(context.Background(), ws))
		if err != nil {
			t.Fatal(err)
		}
		var opening sync.WaitGroup
		for range 4 {
			opening.Go(func() {
				for {
					if _, err := conn.session.OpenStream(); err != nil {
						return
					}
				}
			})
		}
		<-conn.Closed()
		var closed websocket.CloseError
		if cause := conn.Cause(); !errors.As(cause, &closed) || closed.Reason != "replaced" {
			t.Fatalf("Cause = %v, want the close reason of the other side", cause)
		}
		opening.Wait()
	}
}

func FuzzServer(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(slices.Concat(begin(1), frame(typeData, flagFIN, 1, 0, packet(2, drpcwire.KindMessage, []byte{0x12, 0})), frame(typePing, flagSYN, 0, 1)))
	f.Add(slices.Concat(frame(typeData, flagSYN, 3, 0, packet(1, drpcwire.KindInvoke, []byte("/coder.tailnet.v2.Tailnet/Coordinate"))), frame(typeWindow, flagRST, 3, 0)))
	mux := drpcmux.New()
	if err := proto.DRPCRegisterTailnet(mux, service{}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		near, far := net.Pipe()
		server := NewServer(far)
		go io.Copy(io.Discard, near)
		go func() {
			near.Write(raw)
			near.Close()
		}()
		err := server.Serve(t.Context(), mux)
		if errors.Is(err, context.Canceled) {
			t.Errorf("Serve(%x) = %v", raw, err)
		}
	})
}
