package tailnet

import "github.com/berthdev/berth/tailnet/netstack"

// Counters tell what the node did not deliver, since New.
type Counters struct {
	netstack.Counters
	RelayLost uint64 // packets that were in the queue of a relay whose connection ended
}

// Counters returns the present counts.
func (n *Node) Counters() Counters {
	return Counters{Counters: n.stack.Counters(), RelayLost: n.bind.queue.lost()}
}
