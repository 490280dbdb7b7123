package tailnet

import "testing"

func TestWidthVerdict(t *testing.T) {
	for _, c := range []struct {
		what   string
		large  bool
		small  int
		astray bool
		want   width
	}{
		{"a large ping is answered", true, 0, false, wide},
		{"one is answered that a relay may have carried", true, 6, true, unknownWidth},
		{"only small ones are answered", false, 6, false, narrow},
		{"few are answered: packets get lost", false, 2, false, unknownWidth},
		{"a relay carried what was not answered", false, 6, true, unknownWidth},
		{"nothing is answered", false, 0, false, unknownWidth},
	} {
		if got := verdict(c.large, c.small, c.astray); got != c.want {
			t.Errorf("%s: verdict = %v, want %v", c.what, got, c.want)
		}
	}
}

// TestWidthDecidesTheWay says for each size of a message whether it may go
// directly, and whether it goes through the relay.
func TestWidthDecidesTheWay(t *testing.T) {
	for _, c := range []struct {
		width              width
		size               int
		relayOnly, relayed bool
	}{
		{unknownWidth, narrowMessage, false, false},
		{unknownWidth, directMessage, false, true},
		{unknownWidth, probeMessage, false, false},
		{wide, directMessage, false, false},
		{wide, directMessage + 1, true, true},
		{narrow, narrowMessage, false, false},
		{narrow, narrowMessage + 1, true, true},
		{narrow, probeMessage, false, false},
	} {
		only, relayed := c.width.relayOnly(c.size), c.width.relayOnly(c.size) || c.width.relayToo(c.size)
		if only != c.relayOnly || relayed != c.relayed {
			t.Errorf("width %v, %d bytes: through the relay only = %v, at all = %v; want %v and %v", c.width, c.size, only, relayed, c.relayOnly, c.relayed)
		}
	}
}
