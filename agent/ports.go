//go:build linux

package agent

import (
	"encoding/json"
	"net/http"

	"github.com/berthdev/berth/agent/stats"
)

// getPorts lists the ports that can be forwarded to.
func (n *network) getPorts(w http.ResponseWriter, _ *http.Request) {
	list, err := n.ports.List()
	if err != nil {
		n.refuse(w, err)
		return
	}
	if list == nil {
		list = []stats.Port{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"ports": list})
}
