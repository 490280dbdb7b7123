package coordinator

import (
	"strings"
	"testing"

	pb "google.golang.org/protobuf/proto"

	"github.com/berthdev/berth/tailnet/proto"
)

func TestResponsesStaySmallAndInOrder(t *testing.T) {
	big := testNode("a", "a")
	big.Disco = strings.Repeat("x", maxNodeBytes)
	var notes []note
	for i := range 300 {
		notes = append(notes, note{update: &proto.CoordinateResponse_PeerUpdate{Id: []byte{byte(i >> 8), byte(i)}, Node: big}})
	}
	notes = append(notes, note{err: "no tunnel"})
	rs := responses(notes)
	next := 0
	for i, r := range rs {
		if size := pb.Size(r); size > 4<<20 {
			t.Errorf("response %d has %d bytes, want at most 4 MiB", i, size)
		}
		for _, u := range r.PeerUpdates {
			if got := int(u.Id[0])<<8 | int(u.Id[1]); got != next {
				t.Fatalf("update %d comes where %d should", got, next)
			}
			next++
		}
	}
	if next != 300 || len(rs) > 6 || rs[len(rs)-1].Error == "" {
		t.Errorf("%d updates in %d responses, last error %q; want 300 in at most 6 and the error last", next, len(rs), rs[len(rs)-1].Error)
	}
}
