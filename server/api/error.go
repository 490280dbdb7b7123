package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// Response is the body of every answer that is not a success, and of those
// successes that have nothing else to say.
type Response struct {
	Message     string       `json:"message"`
	Detail      string       `json:"detail,omitempty"`
	Validations []Validation `json:"validations,omitempty"`
}

// Validation says what is wrong with one field of a request.
type Validation struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error is an answer of the server that is not a success.
type Error struct {
	Response
	StatusCode  int
	Method, URL string
}

// Error gives the message, its detail and what was wrong with each field.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d)", strings.TrimSuffix(e.Message, "."), e.StatusCode)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	for _, v := range e.Validations {
		fmt.Fprintf(&b, "\n  %s: %s", v.Field, v.Detail)
	}
	return b.String()
}

// StatusCode returns the HTTP status of an Error within err, or 0.
func StatusCode(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// maxErrorBody bounds what is read of an answer that is not a success.
const maxErrorBody = 64 << 10

// responseError turns an unexpected answer into an Error.
func responseError(res *http.Response) error {
	e := &Error{StatusCode: res.StatusCode}
	if res.Request != nil {
		e.Method, e.URL = res.Request.Method, res.Request.URL.Redacted()
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	if err != nil {
		return fmt.Errorf("read the answer of %s %s: %w", e.Method, e.URL, err)
	}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if kind != "application/json" || json.Unmarshal(body, &e.Response) != nil || e.Message == "" {
		e.Message = fmt.Sprintf("unexpected answer %s of %s %s", res.Status, e.Method, e.URL)
		e.Detail = "the URL may not be that of a Berth or Coder server"
	}
	return e
}
