//go:build linux

package host

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
)

// Forward has the host answer a request of its API, and starts one where there is
// none. It blocks until the answer has been passed on, or the request ends.
func (c *Client) Forward(w http.ResponseWriter, r *http.Request) {
	res, err := c.forward(r)
	if errors.Is(err, syscall.ECONNREFUSED) {
		if err = c.ensure(r.Context()); err == nil {
			res, err = c.forward(r) // nothing of the body was read before
		}
	}
	if err != nil {
		sayNo(w, http.StatusBadGateway, "the session host does not answer", err.Error())
		return
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound && !isJSON(res) {
		sayNo(w, http.StatusNotImplemented, "the session host does not know "+r.URL.Path,
			"one that is older than the agent goes on as long as it keeps something: see docs/agent.md")
		return
	}
	for _, name := range []string{"Content-Type", "Content-Length", "X-Content-Type-Options", sizeHeader} {
		if value := res.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(w, res.Body); err != nil {
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

func (c *Client) forward(r *http.Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, "http://session-host"+r.URL.RequestURI(), io.NopCloser(r.Body))
	if err != nil {
		return nil, err
	}
	req.ContentLength = r.ContentLength
	req.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	return c.http.Do(req)
}

func isJSON(res *http.Response) bool {
	return strings.HasPrefix(res.Header.Get("Content-Type"), "application/json")
}
