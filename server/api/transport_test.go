package api

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestDialIsRepeatedBesideASlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		var begun atomic.Int32
		began := time.Now()
		conn, err := dialAgain(t.Context(), func(ctx context.Context) (net.Conn, error) {
			if begun.Add(1) < 3 { // lost
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return near, nil
		})
		if err != nil || conn != near {
			t.Fatalf("dialAgain = %v, %v, want the third connection", conn, err)
		}
		conn.Close()
		if took := time.Since(began); took != 2*dialAgainAfter {
			t.Errorf("dialAgain took %v, want %v", took, 2*dialAgainAfter)
		}
	})
}

func TestDialFailsWhenItIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused, began := errors.New("refused"), time.Now()
		if _, err := dialAgain(t.Context(), func(context.Context) (net.Conn, error) { return nil, refused }); !errors.Is(err, refused) {
			t.Errorf("dialAgain = %v, want %v", err, refused)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("dialAgain took %v to fail, want no wait", took)
		}
	})
}

func TestDialClosesWhatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, lateFar := net.Pipe()
		won, wonFar := net.Pipe()
		defer wonFar.Close()
		var begun atomic.Int32
		conn, err := dialAgain(t.Context(), func(ctx context.Context) (net.Conn, error) {
			if begun.Add(1) == 1 {
				<-ctx.Done() // lost the race, but connected all the same
				return late, nil
			}
			return won, nil
		})
		if err != nil || conn != won {
			t.Fatalf("dialAgain = %v, %v, want the second connection", conn, err)
		}
		conn.Close()
		if _, err := lateFar.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("read from a connection that came late = %v, want it closed", err)
		}
	})
}
