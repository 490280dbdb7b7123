//go:build linux

package host

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/process"
)

// OutputWait is how long a request for the output of a process waits for its end at
// most.
const OutputWait = 5 * time.Minute

// startProcess answers at once with a process.Info.
func (p *parts) startProcess(w http.ResponseWriter, r *http.Request) {
	var req process.Request
	if !decode(w, r, &req) {
		return
	}
	if req.Dir != "" {
		dir, ok := p.path(w, r, req.Dir)
		if !ok {
			return
		}
		req.Dir = dir
	}
	info, err := p.processes.Start(r.Context(), req)
	answerOr(w, info, err)
}

func (p *parts) listProcesses(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"processes": p.processes.List()})
}

// processOutput answers with a process.Output; with wait=true when the process has
// ended.
func (p *parts) processOutput(w http.ResponseWriter, r *http.Request) {
	id, ok := processID(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), OutputWait)
	defer cancel()
	output, err := p.processes.Output(ctx, id, r.URL.Query().Get("wait") == "true")
	answerOr(w, output, err)
}

func (p *parts) signalProcess(w http.ResponseWriter, r *http.Request) {
	var req struct{ Signal string }
	id, ok := processID(w, r)
	if !ok || !decode(w, r, &req) {
		return
	}
	if err := p.processes.Signal(id, req.Signal); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// processID is that of the path; it answers when there cannot be such a process.
func processID(w http.ResponseWriter, r *http.Request) (uuid.UUID, bool) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		refuse(w, process.ErrUnknown)
	}
	return id, err == nil
}
