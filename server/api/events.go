package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// eventPatience is how long a stream of events may be silent: the server sends a
// ping each 15 s.
const eventPatience = 45 * time.Second

// WatchWorkspace calls each with a workspace, at once and after every change, until
// the server ends the stream, which is nil, the connection breaks, each returns an
// error or ctx ends.
func (c *Client) WatchWorkspace(ctx context.Context, id uuid.UUID, each func(Workspace) error) error {
	return events(ctx, c, "/api/v2/workspaces/"+id.String()+"/watch", each)
}

// events calls each with what every event of a stream says.
func events[T any](ctx context.Context, c *Client, path string, each func(T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(eventPatience, cancel)
	defer silence.Stop()
	res, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return responseError(res)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxBody)
	kind := ""
	for lines.Scan() {
		silence.Reset(eventPatience)
		if k, is := strings.CutPrefix(lines.Text(), "event: "); is {
			kind = k
		}
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		if kind != "data" {
			return fmt.Errorf("read events: the server says %s: %s", kind, data)
		}
		var v T
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if err := each(v); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}
