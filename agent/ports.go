//go:build linux

package agent

import (
	"net/http"
	"os"

	"github.com/berthdev/berth/agent/stats"
)

// listeningPort is a port as peers are told of it. own is no word of the
// reference, whose clients pass over it.
type listeningPort struct {
	stats.Port
	Own bool `json:"own"` // whether the agent's user listens there
}

// getPorts lists the ports that can be forwarded to, but not the agent's own.
func (n *network) getPorts(w http.ResponseWriter, _ *http.Request) {
	list, err := n.ports.List()
	if err != nil {
		n.refuse(w, err)
		return
	}
	ports := make([]listeningPort, 0, len(list))
	for _, p := range list {
		if p.PID != os.Getpid() {
			ports = append(ports, listeningPort{p, p.UID == uint32(os.Getuid())})
		}
	}
	answer(w, map[string]any{"ports": ports})
}
