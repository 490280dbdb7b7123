package coordinator

import "sync/atomic"

// Stats is what a coordinator did since New and has now.
type Stats struct {
	Peers   int    // connected to this replica
	Tunnels int    // known, of all replicas
	Sent    uint64 // updates sent
	Dropped uint64 // peers removed because they did not read
	Refused uint64 // requests refused
	// Telemetry is the number of events that peers posted; they are not kept.
	Telemetry uint64
}

type counters struct{ sent, dropped, refused, telemetry atomic.Uint64 }

// Stats returns the counters.
func (c *Coordinator) Stats() Stats {
	c.mu.Lock()
	peers, tunnels := len(c.conns), c.state.tunnels
	c.mu.Unlock()
	return Stats{
		Peers: peers, Tunnels: tunnels, Sent: c.stats.sent.Load(), Dropped: c.stats.dropped.Load(),
		Refused: c.stats.refused.Load(), Telemetry: c.stats.telemetry.Load(),
	}
}
