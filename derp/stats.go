package derp

import (
	"expvar"
	"log"
	"log/slog"
	"sync/atomic"
)

// Stats is what a relay did since New and has now. Counters are those of the
// network's side unless said otherwise.
type Stats struct {
	Clients  int64  // connected
	Accepted uint64 // clients admitted
	Refused  uint64 // clients that held their key but were not admitted
	Garbage  uint64 // connections and datagrams that made no sense

	PacketsIn, BytesIn   uint64 // from clients; bytes without frame headers
	PacketsOut, BytesOut uint64 // to clients

	Dropped      uint64 // packets that were the oldest of a full queue
	DroppedWrite uint64 // packets, counted as out, of a write that failed
	// NotHere counts how often a client was told that the destination of its
	// packets is not connected; such packets are dropped.
	NotHere uint64
	STUN    uint64 // requests answered
}

type counters struct {
	accepted, refused, garbage               atomic.Uint64
	packetsIn, bytesIn, packetsOut, bytesOut atomic.Uint64
	dropped, droppedWrite                    atomic.Uint64
	stun                                     atomic.Uint64
}

// Stats returns the counters.
func (r *Relay) Stats() Stats {
	s := &r.stats
	return Stats{
		Clients:  int64(r.count("gauge_current_connections")),
		Accepted: s.accepted.Load(), Refused: s.refused.Load(), Garbage: s.garbage.Load(),
		PacketsIn: s.packetsIn.Load() + r.count("packets_received"), BytesIn: s.bytesIn.Load() + r.count("bytes_received"),
		PacketsOut: s.packetsOut.Load(), BytesOut: s.bytesOut.Load(),
		Dropped: s.dropped.Load(), DroppedWrite: s.droppedWrite.Load(),
		NotHere: r.count("peer_gone_not_here_frames"), STUN: s.stun.Load(),
	}
}

// count reads one of derpserver's counters.
func (r *Relay) count(name string) uint64 {
	if v, ok := r.vars.Get(name).(*expvar.Int); ok {
		return uint64(v.Value())
	}
	return 0
}

// garbageLog counts the errors that an http.Server writes to its log: clients
// that do not speak TLS or HTTP. What they sent is not logged.
func (r *Relay) garbageLog(listener string) *log.Logger {
	return log.New(garbageWriter{r, listener}, "", 0)
}

type garbageWriter struct {
	r        *Relay
	listener string
}

func (w garbageWriter) Write(line []byte) (int, error) {
	w.r.stats.garbage.Add(1)
	w.r.log.Debug("relay closed a connection that made no sense", slog.String("listener", w.listener))
	return len(line), nil
}
