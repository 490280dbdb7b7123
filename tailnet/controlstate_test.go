package tailnet

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/berthdev/berth/tailnet/proto"
)

const (
	kindNode         = proto.CoordinateResponse_PeerUpdate_NODE
	kindDisconnected = proto.CoordinateResponse_PeerUpdate_DISCONNECTED
	kindLost         = proto.CoordinateResponse_PeerUpdate_LOST
	kindReady        = proto.CoordinateResponse_PeerUpdate_READY_FOR_HANDSHAKE
)

// A controlStep is an update, or a tick if kind is 0, and what must follow.
type controlStep struct {
	at        time.Duration
	kind      proto.CoordinateResponse_PeerUpdate_Kind
	handshake time.Duration // when the last one was
	home      int32         // of a NODE; 0 means 1, -1 means none
	want      string
}

func TestControlDecisions(t *testing.T) {
	const min = time.Minute
	for name, c := range map[string]struct {
		agent, destination bool
		steps              []controlStep
	}{
		"an agent programs at once and answers": {agent: true, steps: []controlStep{
			{kind: kindNode, want: "program+answer"}, {at: min, kind: kindNode, want: "program+answer"},
		}},
		"a client waits for its destination": {destination: true, steps: []controlStep{
			{kind: kindNode},
			{at: time.Second, kind: kindReady, want: "program"},
			{at: 2 * time.Second, kind: kindReady},
			{at: 3 * time.Second, kind: kindNode, want: "program"},
			{at: min},
		}},
		"ready before the record is remembered": {destination: true, steps: []controlStep{
			{kind: kindReady}, {at: 1, kind: kindNode, want: "program"},
		}},
		"a silent destination is tried after 5 s": {destination: true, steps: []controlStep{
			{kind: kindNode}, {at: 3 * time.Second, kind: kindNode}, {at: readyWait - 1}, {at: readyWait, want: "program"}, {at: 2 * readyWait},
		}},
		"others are not waited for":  {steps: []controlStep{{kind: kindNode, want: "program"}, {at: 1, kind: kindReady}}},
		"no home relay, no use":      {steps: []controlStep{{kind: kindNode, home: -1}, {at: min}, {at: min, kind: kindNode, want: "program"}}},
		"disconnected goes at once":  {steps: []controlStep{{kind: kindNode, want: "program"}, {at: 1, kind: kindDisconnected, want: "hang up"}, {at: 2, kind: kindDisconnected}}},
		"held back and gone again":   {destination: true, steps: []controlStep{{kind: kindNode}, {at: 1, kind: kindDisconnected}, {at: min}}},
		"held back and lost":         {destination: true, steps: []controlStep{{kind: kindNode}, {at: 1, kind: kindLost}, {at: min}}},
		"lost goes after 15 minutes": {steps: []controlStep{{kind: kindNode, want: "program"}, {at: min, kind: kindLost}, {at: 16*min - 1}, {at: 16 * min, want: "remove"}}},
		"a handshake keeps the lost": {steps: []controlStep{
			{kind: kindNode, want: "program"},
			{at: min, kind: kindLost},
			{at: 16 * min, handshake: 10 * min},
			{at: 25*min - 1, handshake: 10 * min},
			{at: 25 * min, handshake: 10 * min, want: "remove"},
		}},
		"lost and back": {steps: []controlStep{
			{kind: kindNode, want: "program"}, {at: min, kind: kindLost}, {at: 2 * min, kind: kindNode, want: "program"}, {at: 60 * min},
		}},
		"a destination that comes back while programmed is not waited for": {destination: true, steps: []controlStep{
			{kind: kindReady}, {kind: kindNode, want: "program"}, {at: min, kind: kindLost}, {at: 2 * min, kind: kindNode, want: "program"},
		}},
	} {
		id := uuid.New()
		s := newControlState(c.agent)
		if c.destination {
			s.retarget(map[uuid.UUID]bool{id: true}, true)
		}
		start := time.Now()
		for i, step := range c.steps {
			now, handshake := start.Add(step.at), start.Add(step.handshake)
			var got []controlAction
			if step.kind == 0 {
				got = s.tick(now, func(uuid.UUID) time.Time { return handshake })
			} else {
				rec := &proto.Node{PreferredDerp: 1}
				if step.home < 0 {
					rec.PreferredDerp = 0
				}
				got = s.update(now, id, &proto.CoordinateResponse_PeerUpdate{Kind: step.kind, Node: rec}, handshake)
			}
			if text := describe(got); text != step.want {
				t.Errorf("%s: step %d: did %q, want %q", name, i, text, step.want)
			}
			if due := s.due(); !due.IsZero() && !due.After(now) {
				t.Errorf("%s: step %d: still due at %v after a tick at %v", name, i, due, now)
			}
		}
	}
}

func describe(do []controlAction) (text string) {
	for _, a := range do {
		switch {
		case a.remove:
			text += "remove"
		case a.hangUp:
			text += "hang up"
		case a.answer:
			text += "program+answer"
		default:
			text += "program"
		}
	}
	return text
}

func TestNodeIDOfAgents(t *testing.T) {
	got := map[string]int64{}
	for _, id := range []string{"11223344-5566-7788-0000-000000000005", "11223344-5566-7788-ffff-fffffffffffb", "11223344-5566-7788-8000-000000000000"} {
		got[id[24:]] = NodeID(uuid.MustParse(id))
	}
	want := map[string]int64{"000000000005": 5, "fffffffffffb": 5, "000000000000": 1<<63 - 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("NodeID differs (-want +got):\n%s", diff)
	}
}

func TestLostPeerThatComesBackUnderANewIDIsReplaced(t *testing.T) {
	rec := func(key string) *proto.Node { return &proto.Node{Key: []byte(key), PreferredDerp: 1} }
	now, old, other, fresh := time.Unix(1e9, 0), uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	s := newControlState(true)
	s.node(now, old, rec("key"))
	s.node(now, other, rec("another key"))
	s.lose(now, old, time.Time{})
	s.lose(now, other, time.Time{})
	do := s.node(now, fresh, rec("key"))
	if len(do) != 1 || do[0].program == nil || do[0].id != fresh {
		t.Errorf("record with the key of a lost peer = %+v, want the new id programmed and nothing removed", do)
	}
	if s.peers[old] != nil || s.peers[other] == nil {
		t.Error("the wrong peer was forgotten")
	}
}
