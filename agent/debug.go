//go:build linux

package agent

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/berthdev/berth/agent/proto"
	"github.com/berthdev/berth/tailnet"
	"github.com/berthdev/berth/tailnet/derpmap"
)

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// masked stands for what is told to nobody.
const masked = "[masked]"

// getLogs answers with the last lines of the log of this process. Nothing secret is
// logged; what would be, because an error of somebody else has it, is masked.
func (n *network) getLogs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	text := n.lines.text()
	secrets := [][]byte{[]byte(n.cfg.Client.Token)}
	for _, s := range n.manifest.Load().GetSecrets() {
		secrets = append(secrets, s.GetValue())
	}
	_, _ = w.Write(mask(text, secrets))
}

// mask replaces secrets in a log, also in the form that they have within quotes.
func mask(text []byte, secrets [][]byte) []byte {
	for _, secret := range secrets {
		if len(secret) == 0 {
			continue
		}
		quoted := strconv.Quote(string(secret))
		text = bytes.ReplaceAll(text, secret, []byte(masked))
		text = bytes.ReplaceAll(text, []byte(quoted[1:len(quoted)-1]), []byte(masked))
	}
	return text
}

// shownManifest is what may be shown of a manifest: what is not listed here stays
// away, so that a new field gives nothing away.
type shownManifest struct {
	AgentID         string            `json:"agent_id"`
	AgentName       string            `json:"agent_name"`
	WorkspaceID     string            `json:"workspace_id"`
	WorkspaceName   string            `json:"workspace_name"`
	Owner           string            `json:"owner"`
	Directory       string            `json:"directory"`
	MOTD            string            `json:"motd_path"`
	BlockDirect     bool              `json:"disable_direct_connections"`
	ForceWebSockets bool              `json:"derp_force_websockets"`
	Relays          *derpmap.Map      `json:"derp_map"`
	Env             map[string]string `json:"environment_variables"` // names, with masked values
	Secrets         []shownSecret     `json:"secrets"`
	Scripts         []shownScript     `json:"scripts"`
	Apps            []shownApp        `json:"apps"`
	Metadata        []shownMetadata   `json:"metadata"`
}

type shownSecret struct {
	EnvName  string `json:"env_name,omitempty"`
	FilePath string `json:"file_path,omitempty"`
	Value    string `json:"value"` // masked
}

// shownScript is a script without its text, in which templates like to put tokens.
type shownScript struct {
	ID      string `json:"id"`
	Name    string `json:"display_name"`
	OnStart bool   `json:"run_on_start"`
	OnStop  bool   `json:"run_on_stop"`
	Blocks  bool   `json:"start_blocks_login"`
	Cron    string `json:"cron,omitempty"`
	Timeout string `json:"timeout"`
	LogPath string `json:"log_path"`
	Size    int    `json:"script_bytes"`
}

// shownApp is an app without its URLs, which may have a token of the app.
type shownApp struct {
	ID     string `json:"id"`
	Slug   string `json:"slug"`
	Health string `json:"health"`
}

type shownMetadata struct {
	Key      string `json:"key"`
	Interval string `json:"interval"`
	Timeout  string `json:"timeout"`
}

func (n *network) getManifest(w http.ResponseWriter, _ *http.Request) {
	answer(w, shown(n.manifest.Load()))
}

func shown(m *proto.Manifest) shownManifest {
	s := shownManifest{
		AgentID: idFrom(m.GetAgentId()), AgentName: m.GetAgentName(), WorkspaceID: idFrom(m.GetWorkspaceId()), WorkspaceName: m.GetWorkspaceName(),
		Owner: m.GetOwnerUsername(), Directory: m.GetDirectory(), MOTD: m.GetMotdPath(),
		BlockDirect: m.GetDisableDirectConnections(), ForceWebSockets: m.GetDerpForceWebsockets(), Relays: derpmap.FromProto(m.GetDerpMap()),
		Env: map[string]string{}, Secrets: []shownSecret{}, Scripts: []shownScript{}, Apps: []shownApp{}, Metadata: []shownMetadata{},
	}
	for name := range m.GetEnvironmentVariables() {
		s.Env[name] = masked
	}
	for _, secret := range m.GetSecrets() {
		s.Secrets = append(s.Secrets, shownSecret{secret.GetEnvName(), secret.GetFilePath(), masked})
	}
	for _, sc := range m.GetScripts() {
		s.Scripts = append(s.Scripts, shownScript{
			ID: idFrom(sc.GetId()), Name: sc.GetDisplayName(), OnStart: sc.GetRunOnStart(), OnStop: sc.GetRunOnStop(), Blocks: sc.GetStartBlocksLogin(),
			Cron: sc.GetCron(), Timeout: sc.GetTimeout().AsDuration().String(), LogPath: sc.GetLogPath(), Size: len(sc.GetScript()),
		})
	}
	for _, app := range m.GetApps() {
		s.Apps = append(s.Apps, shownApp{idFrom(app.GetId()), app.GetSlug(), app.GetHealth().String()})
	}
	for _, d := range m.GetMetadata() {
		s.Metadata = append(s.Metadata, shownMetadata{d.GetKey(), nanosAsSeconds(d.GetInterval()).String(), nanosAsSeconds(d.GetTimeout()).String()})
	}
	return s
}

// pathState is how the node is and how packets to its peers go, without keys.
type pathState struct {
	Home           int              `json:"home_region"`
	RelayConnected bool             `json:"relay_connected"`
	Counters       tailnet.Counters `json:"counters"`
	Peers          []peerState      `json:"peers"`
}

type peerState struct {
	ID         uuid.UUID        `json:"id"`
	Addresses  []netip.Addr     `json:"addresses"`
	Path       string           `json:"path"`           // direct, relayed, or changing: both or none
	Packet     int              `json:"largest_packet"` // on a direct path, if known
	Endpoint   netip.AddrPort   `json:"endpoint"`
	Endpoints  []netip.AddrPort `json:"endpoints"`
	Region     int              `json:"home_region"`
	Handshake  *time.Time       `json:"last_handshake"`
	UDPSends   uint64           `json:"sent_directly"` // packets
	RelaySends uint64           `json:"sent_by_relay"`
}

func (n *network) getMagicsock(w http.ResponseWriter, _ *http.Request) {
	s := pathState{Home: n.node.Home(), RelayConnected: n.node.RelayConnected(), Counters: n.node.Counters(), Peers: []peerState{}}
	for _, p := range n.node.Peers() {
		state := peerState{
			ID: p.ID, Addresses: p.Addresses, Path: "changing", Packet: p.Path.Packet, Endpoint: p.Path.Endpoint, Endpoints: p.Endpoints, Region: p.Path.Region,
			UDPSends: p.UDPSends, RelaySends: p.RelaySends,
		}
		switch {
		case p.Path.Direct:
			state.Path = "direct"
		case p.Path.Relayed:
			state.Path = "relayed"
		}
		if !p.Handshake.IsZero() {
			state.Handshake = &p.Handshake
		}
		s.Peers = append(s.Peers, state)
	}
	answer(w, s)
}
