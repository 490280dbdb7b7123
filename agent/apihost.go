//go:build linux

package agent

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/berthdev/berth/agent/host"
	"github.com/berthdev/berth/server/api"
)

const (
	// transferTimeout bounds a request that carries a file: 64 MiB over a link of
	// 2 Mbit/s.
	transferTimeout = 5 * time.Minute
	// maxForwarded bounds the requests that the session host answers at once, and
	// apart from those the ones that wait for the end of a process.
	maxForwarded = 64
)

// forwardedRoutes are those that the session host answers: what touches files and
// processes of the user is where their sessions are, and goes on when this process
// does not. Each has its own time.
func (n *network) forwardedRoutes(mux *http.ServeMux) {
	room, waiting := make(chan struct{}, maxForwarded), make(chan struct{}, maxForwarded)
	mux.HandleFunc("GET /api/v0/processes/{id}/output", n.forwarded(host.OutputWait+apiTimeout, waiting))
	for pattern, timeout := range map[string]time.Duration{
		"POST /api/v0/list-directory": apiTimeout,
		"GET /api/v0/read-file":       transferTimeout,
		"GET /api/v0/read-file-lines": apiTimeout,
		"POST /api/v0/write-file":     transferTimeout,
		"POST /api/v0/edit-files":     transferTimeout,

		"POST /api/v0/processes/start":       apiTimeout,
		"GET /api/v0/processes/list":         apiTimeout,
		"POST /api/v0/processes/{id}/signal": apiTimeout,
	} {
		mux.HandleFunc(pattern, n.forwarded(timeout, room))
	}
}

// forwarded has the session host answer, if there is room, within timeout.
func (n *network) forwarded(timeout time.Duration, room chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
		default:
			sayNo(w, http.StatusServiceUnavailable, "too many requests at once", "")
			return
		}
		extend(w, timeout)
		n.host.Forward(w, r)
	}
}

// extend gives a request more time than others have, in both directions: the end of
// the time to read ends the request's context too.
func extend(w http.ResponseWriter, timeout time.Duration) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(timeout)) // connections of the node and of the kernel have deadlines
	_ = c.SetWriteDeadline(time.Now().Add(timeout))
}

// fromPrograms refuses what a page in a browser may have sent, which somebody who
// may log in has opened without knowing what it does. Such a page can send what
// changes something, and a browser says so by the header Origin; and it can read
// answers under a name of its own that leads here, which is why a host that is
// asked for is an address or has one word. Programs do neither.
func fromPrograms(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		changes := r.Method != http.MethodGet && r.Method != http.MethodHead
		site := r.Header.Get("Sec-Fetch-Site")
		switch {
		case changes && (r.Header.Get("Origin") != "" || site != "" && site != "none"):
			sayNo(w, http.StatusForbidden, "pages in a browser may change nothing here", "")
		case !plainHost(r.Host):
			sayNo(w, http.StatusForbidden, "ask for the agent by its address", "")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// plainHost reports whether a Host header is an address or a name of one word, with
// or without a port. Nobody can have such a name in the DNS of the world.
func plainHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	return net.ParseIP(host) != nil || !strings.Contains(host, ".")
}

func (n *network) getRoot(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "This is the agent of a workspace, Berth "+n.cfg.Version+". docs/agent.md lists what it answers.\n")
}

// getContainers says that there are no dev containers, as agents do that have them
// switched off: an empty list would say that they are looked after.
func (n *network) getContainers(w http.ResponseWriter, _ *http.Request) {
	sayNo(w, http.StatusForbidden, "this agent runs no dev containers", "")
}

// sayNo answers as the server does whose clients ask here too.
func sayNo(w http.ResponseWriter, status int, message, detail string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Response{Message: message, Detail: detail})
}
