//go:build linux

package host

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/pty"
)

const (
	// upgradeTo is the protocol that connections of users are upgraded to.
	upgradeTo = "berth-session"
	// remoteHeader names the peer on the tailnet that a connection is from.
	remoteHeader = "Berth-Remote"
	// maxSetup bounds a Setup, in which the template's variables are: those of
	// one process have to fit into the kernel's limit of 2 MiB anyway.
	maxSetup = 4 << 20
)

func (h *host) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /setup", h.putSetup)
	mux.HandleFunc("GET /state", h.getState)
	mux.HandleFunc("GET /login", h.getLogin)
	mux.HandleFunc("GET /attach", h.attach)
	mux.HandleFunc("GET /events", h.getEvents)
	mux.HandleFunc("GET /script-events", h.getScriptEvents)
	mux.HandleFunc("GET /terminals", h.getTerminals)
	mux.HandleFunc("DELETE /terminals/{id}", h.deleteTerminal)
	mux.HandleFunc("POST /end", h.postEnd)
	mux.HandleFunc("POST /connect/{kind}", h.connect)
	h.apiRoutes(mux)
	return mux
}

func (h *host) putSetup(w http.ResponseWriter, r *http.Request) {
	var s Setup
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSetup)).Decode(&s); err != nil {
		http.Error(w, "read the setup: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := h.set(s); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *host) getState(w http.ResponseWriter, _ *http.Request) {
	answer(w, h.state())
}

// getLogin says what a login gets whose client asks for nothing.
func (h *host) getLogin(w http.ResponseWriter, r *http.Request) {
	p := h.currentParts()
	if p == nil {
		http.Error(w, "there is no setup yet", http.StatusConflict)
		return
	}
	answer(w, p.ssh.Shell(r.Context()))
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// getEvents waits for events after the number that was passed on last.
func (h *host) getEvents(w http.ResponseWriter, r *http.Request) {
	answerAfter(w, r, h.events)
}

func (h *host) getScriptEvents(w http.ResponseWriter, r *http.Request) {
	answerAfter(w, r, h.scripts)
}

func answerAfter[T any](w http.ResponseWriter, r *http.Request, f *feed[T]) {
	done, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err != nil {
		http.Error(w, "after: want a number", http.StatusBadRequest)
		return
	}
	answer(w, f.after(r.Context(), done))
}

func (h *host) getTerminals(w http.ResponseWriter, _ *http.Request) {
	list := []pty.Info{}
	if p := h.currentParts(); p != nil {
		list = append(list, p.terminals.List()...)
	}
	answer(w, list)
}

func (h *host) deleteTerminal(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.Parse(r.PathValue("id"))
	p := h.currentParts()
	if err != nil || p == nil {
		http.Error(w, "no such terminal", http.StatusNotFound)
		return
	}
	if err := p.terminals.Kill(id); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// postEnd ends every session and then the host: for good, with the scripts of
// the stop, or for another host. It answers when all of that is over, with the
// events of scripts that nobody has asked for.
func (h *host) postEnd(w http.ResponseWriter, r *http.Request) {
	done, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err != nil {
		http.Error(w, "after: want a number", http.StatusBadRequest)
		return
	}
	if err := h.closeParts(r.URL.Query().Get("stop") == "true"); err != nil {
		h.log.Warn("end of the sessions", "err", err)
	}
	left, _ := h.scripts.forget(done)
	answer(w, left)
	_ = http.NewResponseController(w).Flush()
	h.end()
}

// attach is held open by a network half for as long as it lives.
func (h *host) attach(w http.ResponseWriter, r *http.Request) {
	h.joined(1)
	defer h.joined(-1)
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// connect upgrades a request to a connection of a user.
func (h *host) connect(w http.ResponseWriter, r *http.Request) {
	kind := r.PathValue("kind")
	remote, err := netip.ParseAddrPort(r.Header.Get(remoteHeader))
	if kind != KindSSH && kind != KindResume && kind != KindTerminal {
		http.Error(w, "unknown kind of connection", http.StatusNotFound)
		return
	} else if err != nil {
		http.Error(w, remoteHeader+": "+err.Error(), http.StatusBadRequest)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, err = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + upgradeTo + "\r\n\r\n"))
	if err != nil {
		_ = conn.Close()
		return
	}
	user := &userConn{UnixConn: conn.(*net.UnixConn), early: early(buffered.Reader), remote: net.TCPAddrFromAddrPort(remote)}
	h.carry(context.WithoutCancel(r.Context()), kind, user)
}

// early takes what the other end sent along with its request.
func early(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered())
	return b
}

// userConn is a connection whose other end is on the tailnet.
type userConn struct {
	*net.UnixConn
	early  []byte
	remote net.Addr
}

func (c *userConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.UnixConn.Read(p)
}

func (c *userConn) RemoteAddr() net.Addr { return c.remote }
