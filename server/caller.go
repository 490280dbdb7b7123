package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/auth"
	"github.com/berthdev/berth/server/store"
)

// caller is who makes a request.
type caller struct {
	auth.Actor
	key store.APIKey
}

// callerOf is the caller of a route behind signedIn.
func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(keyCaller).(caller)
	return c
}

// tokenOf finds the session or agent token of a request.
func tokenOf(r *http.Request) string {
	if c, err := r.Cookie(api.CookieToken); err == nil && c.Value != "" {
		return c.Value
	}
	q := r.URL.Query()
	if token := q.Get(api.CookieToken); token != "" {
		return token
	}
	if token := r.Header.Get(api.HeaderToken); token != "" {
		return token
	}
	if token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		return token
	}
	return q.Get("access_token")
}

// remoteIP is where a request comes from.
func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// identify finds out who calls.
func (s *Server) identify(r *http.Request) (caller, error) {
	actor, key, err := s.auth.Authenticate(r.Context(), tokenOf(r), remoteIP(r), time.Now())
	if err != nil {
		return caller{}, err
	}
	return caller{Actor: actor, key: key}, nil
}

// signedIn lets those pass who have a session or API token.
func (s *Server) signedIn(next http.Handler) http.Handler {
	return s.h(func(w http.ResponseWriter, r *http.Request) error {
		c, err := s.identify(r)
		if err != nil {
			return s.strange(r, err)
		}
		if err := checkCSRF(r, s.access.Host); err != nil {
			return err
		}
		if err := s.limitUser(r, c); err != nil {
			return err
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), keyCaller, c)))
		return nil
	})
}

// strange answers who has no token or a wrong one, and counts how often.
func (s *Server) strange(r *http.Request, err error) error {
	var refused *auth.UnauthenticatedError
	if !errors.As(err, &refused) {
		return err
	}
	if err := s.limitStranger(r); err != nil {
		return err
	}
	return refuse(http.StatusUnauthorized, refused.Message, refused.Detail)
}

// require is nil if the caller may do this to the object. What it may not even
// read does not exist for it.
func require(c caller, do auth.Action, o auth.Object) error {
	switch {
	case auth.Can(c.Actor, do, o):
		return nil
	case auth.Can(c.Actor, auth.Read, o):
		return forbidden("Your role does not allow this.")
	}
	return notFound()
}
