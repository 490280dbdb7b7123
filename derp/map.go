package derp

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/berthdev/berth/tailnet/derpmap"
)

// What Coder's embedded relay is called by default.
const (
	defaultRegionID   = 999
	defaultRegionCode = "coder"
	defaultRegionName = "Coder Embedded Relay"
)

// MapConfig is what a map of one relay is made of.
type MapConfig struct {
	// AccessURL is how clients reach the server. Required.
	AccessURL *url.URL
	// RegionID, Code and Name are Coder's if zero.
	RegionID   int
	Code, Name string
	// CertName pins the certificate of the TLS that the main port speaks
	// besides plain HTTP (Keys.CertName); "" if it does not.
	CertName string
	// STUNPort is the UDP port of STUN on the same host; 0 means none. A relay
	// with a pinned certificate speaks TLS on the TCP port of this number too.
	STUNPort int
	// BlockDirect makes peers use relays only: no STUN.
	BlockDirect bool
}

// Map returns the map of a server that is its own relay: one region of one
// node, so that no client takes a STUN server for a home or, of two ways to the
// same relay, one that it cannot speak. Clients of Coder's ignore CertName where
// ForceHTTP is set; with an https URL they would check it, and so it is left out
// there.
func Map(cfg MapConfig) (*derpmap.Map, error) {
	if cfg.RegionID == 0 {
		cfg.RegionID = defaultRegionID
	}
	if cfg.Code == "" {
		cfg.Code = defaultRegionCode
	}
	if cfg.Name == "" {
		cfg.Name = defaultRegionName
	}
	node := &derpmap.Node{Name: strconv.Itoa(cfg.RegionID) + "b", RegionID: cfg.RegionID, STUNPort: cfg.STUNPort}
	if cfg.BlockDirect || cfg.STUNPort == 0 {
		node.STUNPort = -1
	}
	if cfg.AccessURL == nil || cfg.AccessURL.Hostname() == "" {
		return nil, errors.New("map of relays: the access URL has no host")
	}
	if cfg.AccessURL.Scheme == "http" {
		node.CertName = cfg.CertName
	}
	m := &derpmap.Map{
		HomeParams: &derpmap.HomeParams{},
		Regions: map[int]*derpmap.Region{cfg.RegionID: {
			EmbeddedRelay: true, RegionID: cfg.RegionID, RegionCode: cfg.Code, RegionName: cfg.Name,
			Nodes: []*derpmap.Node{node},
		}},
	}
	m, err := m.Via(cfg.AccessURL)
	if err != nil {
		return nil, fmt.Errorf("map of relays: %w", err)
	}
	return m, m.Check()
}
