package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// maxBody bounds the body of a request in bytes.
const maxBody = 1 << 20

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, body any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(true)
	if err := enc.Encode(body); err != nil {
		panic(err) // a type of ours that JSON cannot hold
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // an error means that nobody reads
}

// ok answers 200 with JSON.
func ok(w http.ResponseWriter, body any) error {
	reply(w, http.StatusOK, body)
	return nil
}

// decode reads the JSON body into one of the types of package api. Unknown
// fields are ignored, as newer clients send them.
func decode(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	err := dec.Decode(into)
	if err == nil {
		_, err = dec.Token()
		if err == nil {
			err = errors.New("more than one value")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return err
	}
	return refuse(http.StatusBadRequest, "Request body must be valid JSON.", printable(err.Error(), 200))
}

// decodeOptional is decode for a body that may be empty.
func decodeOptional(r *http.Request, into any) error {
	if r.ContentLength == 0 {
		return nil
	}
	return decode(r, into)
}

// pathID parses an id in the path.
func pathID(r *http.Request, name string) (uuid.UUID, error) {
	id, err := uuid.Parse(chi.URLParam(r, name))
	if err != nil {
		return uuid.Nil, invalid(name, "Must be a valid UUID.")
	}
	return id, nil
}

// page reads limit, offset and after_id.
type page struct {
	limit, offset int
	after         uuid.UUID
}

func pageOf(r *http.Request) (p page, err error) {
	q := r.URL.Query()
	if p.limit, err = queryInt(q.Get("limit"), "limit"); err != nil {
		return p, err
	}
	if p.offset, err = queryInt(q.Get("offset"), "offset"); err != nil {
		return p, err
	}
	if text := q.Get("after_id"); text != "" {
		if p.after, err = uuid.Parse(text); err != nil {
			return p, invalid("after_id", "Must be a valid UUID.")
		}
	}
	return p, nil
}

func queryInt(text, name string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, invalid(name, "Must be a number that is not negative.")
	}
	return int(n), nil
}

// queryBool reads a flag of the query: absent is false.
func queryBool(r *http.Request, name string) (bool, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}
	set, err := strconv.ParseBool(text)
	if err != nil {
		return false, invalid(name, "Must be true or false.")
	}
	return set, nil
}
