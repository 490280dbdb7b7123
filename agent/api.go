//go:build linux

package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// apiPort is where peers on the tailnet ask the agent by HTTP.
const apiPort = 4

// apiTimeout bounds reading a request and writing its answer.
const apiTimeout = 20 * time.Second

// serveAPI answers on ln until ctx ends.
func (n *network) serveAPI(ctx context.Context, ln net.Listener) { n.serveHTTP(ctx, ln, n.routes()) }

// routes are those of the API. Those who come may log in by SSH.
func (n *network) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", n.getRoot)
	mux.HandleFunc("GET /api/v0/terminals", n.getTerminals)
	mux.HandleFunc("DELETE /api/v0/terminals/{id}", n.deleteTerminal)
	mux.HandleFunc("GET /api/v0/listening-ports", n.getPorts)
	mux.HandleFunc("GET /api/v0/containers", n.getContainers)
	mux.HandleFunc("GET /api/v0/netcheck", n.getNetcheck)
	mux.HandleFunc("GET /debug/prometheus", n.getMetrics)
	mux.HandleFunc("GET /debug/logs", n.getLogs)
	mux.HandleFunc("GET /debug/manifest", n.getManifest)
	mux.HandleFunc("GET /debug/magicsock", n.getMagicsock)
	n.forwardedRoutes(mux)
	return fromPrograms(mux)
}

// serveMetrics answers on the address of Config.MetricsAddress until ctx ends.
// An agent before this one may hold it for a moment; that it stays taken is said
// once and no reason to end.
func (n *network) serveMetrics(ctx context.Context) {
	if n.cfg.MetricsAddress == "" {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", n.getMetrics)
	for said := false; ; said = true {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", n.cfg.MetricsAddress)
		if err == nil {
			n.serveHTTP(ctx, ln, mux)
			return
		}
		if !said {
			n.cfg.Log.Warn("metrics are not served, trying again", "err", err)
		}
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
			return
		}
	}
}

// listenAgain is the wait until an address is tried again.
const listenAgain = 5 * time.Second

func (n *network) serveHTTP(ctx context.Context, ln net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler: handler, ReadTimeout: apiTimeout, WriteTimeout: apiTimeout,
		ErrorLog: slog.NewLogLogger(n.cfg.Log.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(ln); ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
		n.cfg.Log.Error("the agent's API ended", "err", err)
	}
}

func (n *network) getTerminals(w http.ResponseWriter, r *http.Request) {
	list, err := n.host.Terminals(r.Context())
	if err != nil {
		n.refuse(w, err)
		return
	}
	answer(w, map[string]any{"terminals": list})
}

func (n *network) deleteTerminal(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		http.Error(w, "the id of a terminal is a UUID", http.StatusBadRequest)
		return
	}
	if err := n.host.KillTerminal(r.Context(), id); err != nil {
		n.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// refuse tells a peer, who is the workspace's owner or an admin, what is wrong.
func (n *network) refuse(w http.ResponseWriter, err error) {
	n.cfg.Log.Warn("request not answered", "err", err)
	http.Error(w, err.Error(), http.StatusBadGateway)
}
