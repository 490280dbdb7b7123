package tailnet

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/berthdev/berth/tailnet/derpmap"
)

func TestReportOfRelays(t *testing.T) {
	relays := &derpmap.Map{Regions: map[int]*derpmap.Region{
		1: {RegionID: 1, RegionName: "home", EmbeddedRelay: true, Nodes: []*derpmap.Node{{STUNPort: -1}}},
		2: {RegionID: 2, RegionName: "far", Nodes: []*derpmap.Node{{}}},
		3: {RegionID: 3, RegionName: "stun", Nodes: []*derpmap.Node{{STUNOnly: true}}},
	}}
	m := Measurement{UDP: true, PreferredDERP: 1, RegionLatency: map[int]time.Duration{1: 3 * time.Millisecond}}
	got, err := json.Marshal(reportRelays(relays, m, nil, 1, true))
	want := `{"severity":"ok","warnings":null,"regions":{` +
		`"1":{"severity":"ok","region":{"RegionID":1,"RegionName":"home","EmbeddedRelay":true},"node_reports":[{"can_exchange_messages":true,"round_trip_ping_ms":3,"stun":{"Enabled":false,"CanSTUN":false},"node":{"STUNOnly":false}}]},` +
		`"2":{"severity":"warning","error":"the relay was not measured","region":{"RegionID":2,"RegionName":"far","EmbeddedRelay":false},"node_reports":[{"can_exchange_messages":false,"round_trip_ping_ms":0,"stun":{"Enabled":true,"CanSTUN":false},"node":{"STUNOnly":false}}]},` +
		`"3":{"severity":"ok","region":{"RegionID":3,"RegionName":"stun","EmbeddedRelay":false},"node_reports":[{"can_exchange_messages":false,"round_trip_ping_ms":0,"stun":{"Enabled":true,"CanSTUN":false},"node":{"STUNOnly":true}}]}},` +
		`"netcheck":{"UDP":true,"IPv4":false,"IPv6":false,"MappingVariesByDestIP":null,"HairPinning":null,"UPnP":null,"PMP":null,"PCP":null,"PreferredDERP":1,"RegionLatency":{"1":3000000}}}`
	if err != nil || string(got) != want {
		t.Errorf("report = %s, %v; want %s", got, err, want)
	}
	if r := reportRelays(relays, m, nil, 1, false); r.Severity != severityError || r.Regions[1].Error == "" {
		t.Errorf("without a home relay the report is %+v, want an error", r)
	}
	if r := reportRelays(relays, Measurement{}, errors.New("no network"), 1, true); r.Severity != severityError || r.Error != "no network" || r.Netcheck != nil {
		t.Errorf("without a measurement the report is %+v, want its error", r)
	}
}
