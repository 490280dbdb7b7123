package main

import (
	"bytes"
	"testing"
	"time"
)

func TestTablesAlignAndStayOnTheirLine(t *testing.T) {
	f := format[string]{columns: []column[string]{
		{name: "name", value: func(s string) string { return s }},
		{name: "size", value: func(string) string { return "1" }},
		{name: "id", value: func(string) string { return "x" }, hidden: true},
	}, output: "table", chosen: []string{"NAME", " size"}}
	var b bytes.Buffer
	if err := f.print(&b, []string{"ä", "long\x1b[2J\nname"}, nil); err != nil {
		t.Fatal(err)
	}
	want := "NAME           SIZE\nä              1\nlong [2J name  1\n"
	if got := b.String(); got != want {
		t.Errorf("table =\n%q, want\n%q", got, want)
	}
}

func TestJSONOfNothingIsAnEmptyList(t *testing.T) {
	f := format[string]{output: "json"}
	var b bytes.Buffer
	if err := f.print(&b, nil, nil); err != nil || b.String() != "[]\n" {
		t.Errorf("print(nil) = %q, %v, want []", b.String(), err)
	}
}

func TestUnknownFormatsAndColumnsAreErrors(t *testing.T) {
	for _, f := range []format[string]{{output: "yaml"}, {output: "table", chosen: []string{"x"}}, {output: "table"}} {
		if err := f.print(&bytes.Buffer{}, nil, nil); err == nil {
			t.Errorf("print with output %q, columns %v = nil, want an error", f.output, f.chosen)
		}
	}
}

func TestTimesAsPeopleSayThem(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *time.Time { u := now.Add(d); return &u }
	for _, c := range []struct{ got, want string }{
		{ago(time.Time{}, now), "never"},
		{ago(now, now), "now"},
		{ago(now.Add(time.Hour), now), "now"}, // the clocks differ
		{ago(now.Add(-90*time.Second), now), "1m ago"},
		{ago(now.Add(-50*time.Hour), now), "2d ago"},
		{until(nil, now), "-"},
		{until(at(3*time.Hour), now), "in 3h"},
		{until(at(-5*time.Second), now), "5s ago"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestLifetimesOfTokens(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"": 0, "12h": 12 * time.Hour, "30d": 720 * time.Hour, "1h30m": 90 * time.Minute,
	} {
		if got, err := parseLifetime(in); err != nil || got != want {
			t.Errorf("parseLifetime(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"d", "-1d", "0d", "-1h", "soon", "99999999999d", "1.5d"} {
		if got, err := parseLifetime(in); err == nil {
			t.Errorf("parseLifetime(%q) = %v, want an error", in, got)
		}
	}
}
