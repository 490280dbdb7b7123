package server

import (
	"context"
	"errors"
	"net/http"
	"unicode"
	"unicode/utf8"

	"github.com/berthdev/berth/server/api"
	"github.com/berthdev/berth/server/store"
)

// problem is an answer that is not a success, made where the trouble is known.
type problem struct {
	status int
	body   api.Response
	cause  error // for the log; may be nil

	retryAfter string // seconds; empty: none
}

func (p *problem) Error() string { return p.body.Message }

// detail is what is wrong, with the field that it is wrong with.
func (p *problem) detail() string {
	for _, v := range p.body.Validations {
		return v.Field + ": " + v.Detail
	}
	return p.body.Message
}

func (p *problem) Unwrap() error { return p.cause }

func refuse(status int, message, detail string) *problem {
	return &problem{status: status, body: api.Response{Message: message, Detail: detail}}
}

// invalid is the answer for a field of a request that cannot be used.
func invalid(field, detail string) *problem {
	return &problem{status: http.StatusBadRequest, body: api.Response{
		Message: "Validation failed.", Validations: []api.Validation{{Field: field, Detail: detail}},
	}}
}

// notFound is the answer for what is not there and for what the caller may not
// read: nobody can tell the two apart.
func notFound() *problem {
	return refuse(http.StatusNotFound, "Resource not found or you do not have access to this resource", "")
}

func forbidden(detail string) *problem {
	return refuse(http.StatusForbidden, "Forbidden.", detail)
}

// errStopping ends streams when the server stops.
var errStopping = errors.New("the server is stopping")

// problemOf returns the answer for an error of a known kind, else nil.
func problemOf(err error) *problem {
	var (
		p        *problem
		conflict *store.ConflictError
		bad      *store.InvalidError
		tooBig   *http.MaxBytesError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &bad):
		return invalid(bad.Field, bad.Detail)
	case errors.As(err, &conflict):
		return &problem{status: http.StatusConflict, body: conflictBody(conflict)}
	case errors.As(err, &tooBig):
		return refuse(http.StatusRequestEntityTooLarge, "Request body is too large.", "")
	case errors.Is(err, store.ErrNotFound):
		return notFound()
	case errors.Is(err, errStopping):
		return refuse(http.StatusServiceUnavailable, "The server is stopping.", "")
	}
	return nil
}

func conflictBody(c *store.ConflictError) api.Response {
	switch c.Field {
	case "build":
		return api.Response{Message: "Another build of this workspace is still active."}
	case "owner":
		return api.Response{Message: "This is the last owner who may sign in. Give the role to another user first."}
	case "workspaces":
		return api.Response{Message: "The user has workspaces. Delete them first."}
	case "first_user":
		return api.Response{Message: "This server has its first user already."}
	}
	return api.Response{
		Message:     "A resource with this " + c.Field + " already exists.",
		Validations: []api.Validation{{Field: c.Field, Detail: "This value is taken."}},
	}
}

// fail answers a request that did not succeed. It is the only place where
// errors become statuses. What has no kind is told to the caller as an id,
// under which the log has the error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if p := problemOf(err); p != nil {
		if p.cause != nil {
			s.log.Debug("request refused", "request", requestID(r), "err", p.cause)
		}
		if p.retryAfter != "" {
			w.Header().Set("Retry-After", p.retryAfter)
		}
		reply(w, p.status, p.body)
		return
	}
	if errors.Is(err, errAnswered) || errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // or the caller left
	}
	id := requestID(r)
	s.log.Error("request failed", "request", id, "method", r.Method, "route", routeOf(r), "err", err)
	reply(w, http.StatusInternalServerError, api.Response{
		Message: "An internal server error occurred.",
		Detail:  "The log of the server has the cause under request " + id + ".",
	})
}

// printable makes text of outside fit for a close reason or a log line: one
// line of at most limit bytes.
func printable(text string, limit int) string {
	out := make([]rune, 0, min(len(text), limit))
	size := 0
	for _, c := range text {
		if !unicode.IsPrint(c) {
			c = ' '
		}
		if size += utf8.RuneLen(c); size > limit {
			break
		}
		out = append(out, c)
	}
	return string(out)
}
