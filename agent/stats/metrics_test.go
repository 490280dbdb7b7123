package stats

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

var someMetrics = []Family{
	{Name: "agent_bytes_total", Help: "Bytes of\nall \\ peers.", Counter: true, Metrics: []Metric{
		{Labels: []Label{{"peer", "a \"quoted\" name"}, {"path", "C:\\x\ny"}}, Value: 42},
		{Value: 1.5e300},
	}},
	{Name: "nothing", Help: "has no metrics"},
	{Name: "up", Metrics: []Metric{{Value: math.Inf(1)}, {Labels: []Label{{"x", "\xff"}}, Value: math.Inf(-1)}, {Labels: []Label{{"x", ""}}, Value: math.NaN()}}},
}

func TestWriteMetrics(t *testing.T) {
	const want = `# HELP agent_bytes_total Bytes of\nall \\ peers.
# TYPE agent_bytes_total counter
agent_bytes_total{peer="a \"quoted\" name",path="C:\\x\ny"} 42
agent_bytes_total 1.5e+300
# TYPE up gauge
up +Inf
up{x="` + "\ufffd" + `"} -Inf
up{x=""} NaN
`
	var b bytes.Buffer
	if err := WriteMetrics(&b, someMetrics); err != nil || b.String() != want {
		t.Errorf("WriteMetrics = %v, writes\n%s\nwant\n%s", err, &b, want)
	}
}

func TestNamesOfMetrics(t *testing.T) {
	for _, f := range []Family{
		{Name: ""},
		{Name: "1a"},
		{Name: "a-b"},
		{Name: "ä"},
		{Name: "a\nb"},
		{Name: "a", Metrics: []Metric{{Labels: []Label{{"b:c", ""}}}}},
		{Name: "a", Metrics: []Metric{{Labels: []Label{{"", ""}}}}},
		{Name: "a", Metrics: []Metric{{Labels: []Label{{`b="`, ""}}}}},
	} {
		var b bytes.Buffer
		if err := WriteMetrics(&b, []Family{someMetrics[0], f}); err == nil || b.Len() != 0 {
			t.Errorf("WriteMetrics of %+v = %v and writes %q, want an error and nothing", f, err, &b)
		}
	}
	if err := WriteMetrics(&bytes.Buffer{}, []Family{{Name: "a:b_1", Metrics: []Metric{{Labels: []Label{{"_c1", ""}}}}}}); err != nil {
		t.Errorf("WriteMetrics of good names = %v", err)
	}
}

// FuzzMetrics reads back what is written, as the format's document says.
func FuzzMetrics(f *testing.F) {
	f.Add("a_total", "help", true, "label", "value", 1.0)
	f.Add("up", "\\n\n\"", false, "x", "\\\"\n\xff", math.Inf(-1))
	f.Add("up", " # HELP up x\n", false, "x", "} 5", math.NaN())
	f.Fuzz(func(t *testing.T, name, help string, counter bool, label, value string, number float64) {
		written := Family{Name: name, Help: help, Counter: counter, Metrics: []Metric{
			{Labels: []Label{{label, value}, {"second", value + ","}}, Value: number},
			{Value: -number},
		}}
		var b bytes.Buffer
		if err := WriteMetrics(&b, []Family{written, someMetrics[0]}); err != nil {
			return
		}
		text := b.String()
		read, err := readMetrics(text)
		if err != nil || len(read) != 2 {
			t.Fatalf("read %+v, %v, want two families; in\n%s", read, err, text)
		}
		written.Help = valid(help)
		for _, m := range written.Metrics {
			for i := range m.Labels {
				m.Labels[i].Value = valid(m.Labels[i].Value)
			}
		}
		if got, want := fmt.Sprintf("%#v", read[0]), fmt.Sprintf("%#v", written); got != want { // as texts: NaN is not itself
			t.Errorf("read %s, want %s; in\n%s", got, want, text)
		}
	})
}

// readMetrics reads families in Prometheus's text format that have a type.
func readMetrics(text string) (families []Family, err error) {
	help := ""
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		words := strings.SplitN(line, " ", 4)
		switch {
		case !whole:
			return nil, errors.New("the last line has no end")
		case len(words) == 4 && words[0] == "#" && words[1] == "HELP":
			help = strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(words[3])
		case len(words) == 4 && words[0] == "#" && words[1] == "TYPE":
			families = append(families, Family{Name: words[2], Help: help, Counter: words[3] == "counter"})
			help = ""
		default:
			f := &families[len(families)-1]
			m, err := readMetric(line, f.Name)
			if err != nil {
				return nil, fmt.Errorf("line %q: %w", line, err)
			}
			f.Metrics = append(f.Metrics, m)
		}
	}
	return families, nil
}

func readMetric(line, name string) (m Metric, err error) {
	rest, is := strings.CutPrefix(line, name)
	if !is {
		return m, errors.New("another name")
	}
	if strings.HasPrefix(rest, "{") {
		for rest[0] != '}' {
			var l Label
			l.Name, rest, _ = strings.Cut(rest[1:], `="`)
			if l.Value, rest, err = readLabel(rest); err != nil {
				return m, err
			}
			m.Labels = append(m.Labels, l)
		}
		rest = rest[1:]
	}
	m.Value, err = strconv.ParseFloat(strings.TrimPrefix(rest, " "), 64)
	return m, err
}

// readLabel reads the value of a label to its quote, and returns what follows,
// which is a comma or a brace.
func readLabel(text string) (value, rest string, err error) {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"' && i+1 < len(text) && (text[i+1] == ',' || text[i+1] == '}'):
			return value, text[i+1:], nil
		case text[i] == '"':
			return "", "", errors.New("a quote within a value")
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == 'n':
			value += "\n"
			i++
		case text[i] == '\\' && i+1 < len(text):
			value += text[i+1 : i+2]
			i++
		default:
			value += text[i : i+1]
		}
	}
	return "", "", errors.New("no end of a value")
}
