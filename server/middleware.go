package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/berthdev/berth/server/api"
)

// handler is how resources answer: with a reply, or an error for fail.
type handler func(w http.ResponseWriter, r *http.Request) error

// h makes a handler one for the router.
func (s *Server) h(fn handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := fn(w, r); err != nil {
			s.fail(w, r, err)
		}
	}
}

type contextKey int

const (
	keyRequestID contextKey = iota
	keyCaller
	keyAgent
	keyServices
)

func requestID(r *http.Request) string {
	id, _ := r.Context().Value(keyRequestID).(string)
	return id
}

// routeOf is the pattern of the route, which holds nothing that a caller said.
func routeOf(r *http.Request) string {
	if rc := chi.RouteContext(r.Context()); rc != nil {
		return rc.RoutePattern()
	}
	return ""
}

// everyRequest gives a request its id and headers, logs it, and answers 500
// when its handler panics.
func (s *Server) everyRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var raw [8]byte
		_, _ = rand.Read(raw[:]) // never fails
		r = r.WithContext(context.WithValue(r.Context(), keyRequestID, hex.EncodeToString(raw[:])))
		h := w.Header()
		h.Set(api.HeaderBuildVersion, api.Version)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")

		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		began := time.Now()
		defer func() {
			s.recovered(ww, r, recover())
			// Without the query, which may hold a token.
			s.log.Debug("request", "request", requestID(r), "method", r.Method, "path", printable(r.URL.Path, 200),
				"status", ww.Status(), "bytes", ww.BytesWritten(), "duration", time.Since(began))
		}()
		next.ServeHTTP(ww, r)
	})
}

func (s *Server) recovered(w middleware.WrapResponseWriter, r *http.Request, cause any) {
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause) // net/http's way to drop the connection
	}
	s.log.Error("request panicked", "request", requestID(r), "route", routeOf(r), "cause", cause, "stack", string(debug.Stack()))
	if w.Status() == 0 {
		s.fail(w, r, fmt.Errorf("panic: %v", cause))
	}
}

// limitBody refuses bodies over maxBody: at once when the length is announced,
// else where the handler reads beyond it.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > maxBody {
			s.fail(w, r, &http.MaxBytesError{Limit: maxBody})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

func routeNotFound(http.ResponseWriter, *http.Request) error {
	return refuse(http.StatusNotFound, "Route not found.", "")
}

func methodNotAllowed(http.ResponseWriter, *http.Request) error {
	return refuse(http.StatusMethodNotAllowed, "Method not allowed.", "")
}
