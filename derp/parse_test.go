package derp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"

	"github.com/berthdev/berth/tailnet/derpmap"
)

func TestKeysSurviveTheirText(t *testing.T) {
	k, err := GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var got Keys
	if err := got.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	if got.CertName() != k.CertName() || !got.Node.Equal(k.Node) {
		t.Errorf("keys changed: %s, want %s", got.CertName(), k.CertName())
	}
	if !strings.HasPrefix(k.CertName(), "sha256-raw:") || len(k.CertName()) != len("sha256-raw:")+64 {
		t.Errorf("CertName = %q", k.CertName())
	}
	for name, bad := range map[string]string{
		"empty":          "",
		"no node key":    string(text[bytes.Index(text[1:], []byte("-----BEGIN"))+1:]),
		"no certificate": string(text[:bytes.LastIndex(text, []byte("-----BEGIN"))]),
		"bad node key":   strings.Replace(string(text), "\nc", "\nd", 1),
	} {
		if err := new(Keys).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("UnmarshalText of keys with %s = nil error", name)
		}
	}
}

func FuzzKeys(f *testing.F) {
	k, err := GenerateKeys()
	if err != nil {
		f.Fatal(err)
	}
	text, err := k.MarshalText()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		var k Keys
		if k.UnmarshalText(text) == nil && (k.Node.IsZero() || k.CertName() == "") {
			t.Error("UnmarshalText = nil, but keys are missing")
		}
	})
}

func FuzzClientInfo(f *testing.F) {
	relay, node := key.NewNode(), key.NewNode()
	msg, err := json.Marshal(derp.ClientInfo{Version: derp.ProtocolVersion})
	if err != nil {
		f.Fatal(err)
	}
	var frame bytes.Buffer
	bw := bufio.NewWriter(&frame)
	if err := derp.WriteFrame(bw, derp.FrameClientInfo, append(node.Public().AppendTo(nil), node.SealTo(relay.Public(), msg)...)); err != nil {
		f.Fatal(err)
	}
	if err := bw.Flush(); err != nil {
		f.Fatal(err)
	}
	good := frame.Bytes()
	if got, _, err := openClientInfo(relay, good); err != nil || got != node.Public() {
		f.Fatalf("openClientInfo of a good frame = %v, %v", got, err)
	}
	f.Add(good)
	f.Add([]byte{2, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		frame, err := readClientInfo(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		if got, _, err := openClientInfo(relay, frame); err == nil && got != node.Public() {
			t.Errorf("openClientInfo believes in %v without its key", got)
		}
	})
}

func TestMap(t *testing.T) {
	pin := "sha256-raw:" + strings.Repeat("00", 32)
	for name, tt := range map[string]struct {
		access string
		cfg    MapConfig
		want   derpmap.Node
	}{
		"http":         {"http://ws.example:7080", MapConfig{CertName: pin, STUNPort: 3478}, derpmap.Node{Name: "999b", RegionID: 999, HostName: "ws.example", DERPPort: 7080, ForceHTTP: true, CertName: pin, STUNPort: 3478}},
		"https":        {"https://ws.example", MapConfig{CertName: pin, STUNPort: 3478}, derpmap.Node{Name: "999b", RegionID: 999, HostName: "ws.example", DERPPort: 443, STUNPort: 3478}},
		"block direct": {"http://ws.example", MapConfig{STUNPort: 3478, BlockDirect: true}, derpmap.Node{Name: "999b", RegionID: 999, HostName: "ws.example", DERPPort: 80, ForceHTTP: true, STUNPort: -1}},
		"own region":   {"https://ws.example", MapConfig{RegionID: 7}, derpmap.Node{Name: "7b", RegionID: 7, HostName: "ws.example", DERPPort: 443, STUNPort: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			if tt.cfg.AccessURL, err = url.Parse(tt.access); err != nil {
				t.Fatal(err)
			}
			m, err := Map(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			r := m.Regions[tt.want.RegionID]
			if len(m.Regions) != 1 || !r.EmbeddedRelay || len(r.Nodes) != 1 || *r.Nodes[0] != tt.want {
				t.Errorf("Map(%s) = %+v, want the node %+v", tt.access, *r.Nodes[0], tt.want)
			}
		})
	}
	for _, bad := range []string{"", "ftp://x", "http://"} {
		u, _ := url.Parse(bad)
		if _, err := Map(MapConfig{AccessURL: u}); err == nil {
			t.Errorf("Map(%q) = nil error", bad)
		}
	}
}

func TestCertificateOutlivesEverybody(t *testing.T) {
	k, err := GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	leaf := k.Certificate.Leaf
	if leaf == nil {
		var again Keys
		text, _ := k.MarshalText()
		if err := again.UnmarshalText(text); err != nil {
			t.Fatal(err)
		}
		leaf = again.Certificate.Leaf
	}
	if err := leaf.VerifyHostname(ServerName); err != nil || time.Until(leaf.NotAfter) < 200*365*24*time.Hour || leaf.NotBefore.Unix() > 0 {
		t.Errorf("certificate for %v from %v to %v, %v", leaf.DNSNames, leaf.NotBefore, leaf.NotAfter, err)
	}
}
