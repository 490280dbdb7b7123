package script

import (
	"reflect"
	"testing"
)

func TestPlan(t *testing.T) {
	s := func(name, text string) Script { return Script{Name: name, Text: text} }
	for _, tc := range []struct {
		what    string
		scripts []Script
		want    plan
	}{
		{"no order", []Script{s("a", "true"), s("b", "# coder:aftera\ntrue\n# coder:after a")}, plan{after: [][]int{nil, nil}, circle: []bool{false, false}}},
		{"a chain, any case", []Script{s("Clone it", ""), s("b", "#!/bin/sh\n\n  # coder:after clone IT \n")}, plan{after: [][]int{nil, {0}}, circle: []bool{false, false}}},
		{"two of one name", []Script{s("a", ""), s("a", ""), s("b", "# coder:after a\n# coder:after a")}, plan{after: [][]int{nil, nil, {0, 1}}, circle: []bool{false, false, false}}},
		{"unknown", []Script{s("a", "# coder:after x")}, plan{after: [][]int{nil}, unknown: map[int]string{0: "x"}, circle: []bool{false}}},
		{"itself", []Script{s("a", "# coder:after a")}, plan{after: [][]int{{0}}, circle: []bool{true}}},
		{
			"a circle and who waits for it",
			[]Script{s("a", "# coder:after b"), s("b", "# coder:after a"), s("c", "# coder:after a")},
			plan{after: [][]int{{1}, {0}, {0}}, circle: []bool{true, true, false}},
		},
	} {
		if tc.want.unknown == nil {
			tc.want.unknown = map[int]string{}
		}
		if got := newPlan(tc.scripts); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: plan = %+v, want %+v", tc.what, got, tc.want)
		}
	}
}
