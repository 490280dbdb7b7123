package tailnet

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
	"time"

	"tailscale.com/util/usermetric"
)

const (
	// relayDepth is how many packets may wait for a relay. magicsock keeps 32
	// and drops the oldest when there is one more; some room is left for disco.
	relayDepth = 24

	// relayStuck is how long a full queue may stand still before its packets
	// are taken for lost: the relay's connection was closed with them.
	relayStuck = 100 * time.Millisecond

	// relayPoll is how often a full queue is looked at.
	relayPoll = 200 * time.Microsecond
)

// relayQueue makes a sender wait where magicsock would drop: it counts what was
// handed to the relays' queues and what came out of them.
type relayQueue struct {
	left func() int64 // packets that came out, since ever

	mu         sync.Mutex
	handed     int64     // packets that went in
	out        int64     // last known left
	stands     time.Time // when the queue was found full and began to stand still; zero if it is not
	writtenOff uint64
	closed     chan struct{}
}

func newRelayQueue(left func() int64) *relayQueue {
	return &relayQueue{left: left, closed: make(chan struct{})}
}

// add notes that n packets went in.
func (q *relayQueue) add(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.handed += int64(n)
}

// room waits until at least one packet fits and returns how many do.
func (q *relayQueue) room() int {
	var tick *time.Ticker
	for {
		if n := q.free(); n > 0 {
			return n
		}
		if tick == nil {
			tick = time.NewTicker(relayPoll)
			defer tick.Stop()
		}
		select {
		case <-tick.C:
		case <-q.closed:
			return relayDepth
		}
	}
}

func (q *relayQueue) free() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := relayDepth - (q.handed - q.out); n > 0 {
		return int(n)
	}
	if out := q.left(); out != q.out {
		q.out, q.stands = out, time.Time{}
		q.handed = max(q.handed, out)
	}
	if n := relayDepth - (q.handed - q.out); n > 0 {
		return int(n)
	}
	now := time.Now()
	switch {
	case q.stands.IsZero():
		q.stands = now
	case now.Sub(q.stands) >= relayStuck:
		q.writtenOff += uint64(q.handed - q.out)
		q.handed, q.stands = q.out, time.Time{}
		return relayDepth
	}
	return 0
}

func (q *relayQueue) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.writtenOff
}

// The metrics of upstream that count data packets written to relays, and those
// that could not be.
const (
	relaySentMetric = `tailscaled_outbound_packets_total{path="derp"} `
	sendErrorMetric = `tailscaled_outbound_dropped_packets_total{reason="error"} `
)

// relayed reads from upstream's metrics how many data packets came out of the
// queues. They are only offered as text.
func relayed(r *usermetric.Registry) int64 {
	var w metricsText
	r.Handler(&w, nil)
	return w.value(relaySentMetric) + w.value(sendErrorMetric)
}

// metricsText is an http.ResponseWriter that keeps the text.
type metricsText struct {
	bytes.Buffer
	header http.Header
}

func (w *metricsText) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

func (w *metricsText) WriteHeader(int) {}

func (w *metricsText) value(name string) int64 {
	_, after, ok := bytes.Cut(w.Bytes(), []byte("\n"+name))
	if !ok {
		return 0
	}
	digits, _, _ := bytes.Cut(after, []byte("\n"))
	n, _ := strconv.ParseInt(string(digits), 10, 64)
	return n
}
