//go:build linux

package host

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"syscall"

	"github.com/berthdev/berth/agent/files"
	"github.com/berthdev/berth/agent/process"
	"github.com/berthdev/berth/server/api"
)

// apiRoutes are those that network halves pass on from port 4 of the tailnet:
// whoever comes there may log in by SSH, and here does so in another way. The
// reference names the subjects; the names and shapes of the routes are ours.
func (h *host) apiRoutes(mux *http.ServeMux) {
	for pattern, serve := range map[string]func(*parts, http.ResponseWriter, *http.Request){
		"POST /api/v0/list-directory": (*parts).listDirectory,
		"GET /api/v0/read-file":       (*parts).readFile,
		"GET /api/v0/read-file-lines": (*parts).readFileLines,
		"POST /api/v0/write-file":     (*parts).writeFile,
		"POST /api/v0/edit-files":     (*parts).editFiles,

		"POST /api/v0/processes/start":       (*parts).startProcess,
		"GET /api/v0/processes/list":         (*parts).listProcesses,
		"GET /api/v0/processes/{id}/output":  (*parts).processOutput,
		"POST /api/v0/processes/{id}/signal": (*parts).signalProcess,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			p := h.currentParts()
			if p == nil {
				sayNo(w, http.StatusServiceUnavailable, "the agent has no manifest yet", "")
				return
			}
			serve(p, w, r)
		})
	}
}

// maxRequest bounds the JSON of a request: some edited files, as text.
const maxRequest = 16 << 20

// decode reads the JSON of a request, and answers when that is none.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(v); err != nil {
		if tooLarge(err) {
			refuse(w, err)
		} else {
			sayNo(w, http.StatusBadRequest, "the request is no JSON of the expected form", err.Error())
		}
		return false
	}
	return true
}

func tooLarge(err error) bool {
	var over *http.MaxBytesError
	return errors.As(err, &over)
}

// answerOr answers with v, or with what is wrong.
func answerOr(w http.ResponseWriter, v any, err error) {
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, v)
}

// refuse says what is wrong. The one who asks has the rights of the user, so that
// no error is a secret.
func refuse(w http.ResponseWriter, err error) {
	status, message := http.StatusInternalServerError, "it did not work"
	switch {
	case errors.Is(err, files.ErrInvalid), errors.Is(err, process.ErrInvalid):
		status, message = http.StatusBadRequest, "the request cannot work"
	case errors.Is(err, files.ErrTooLarge), tooLarge(err):
		status, message = http.StatusRequestEntityTooLarge, "it is too large"
	case errors.Is(err, files.ErrChanged), errors.Is(err, process.ErrOver):
		status, message = http.StatusConflict, "it is not any more as it was"
	case errors.Is(err, process.ErrTooMany):
		status, message = http.StatusTooManyRequests, "too many processes run"
	case errors.Is(err, process.ErrClosed):
		status, message = http.StatusServiceUnavailable, "the workspace stops"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, process.ErrUnknown):
		status, message = http.StatusNotFound, "there is no such thing"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		status, message = http.StatusForbidden, "the user may not do that"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENAMETOOLONG):
		status, message = http.StatusBadRequest, "the path cannot be"
	}
	sayNo(w, status, message, err.Error())
}

func sayNo(w http.ResponseWriter, status int, message, detail string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Response{Message: message, Detail: detail})
}
