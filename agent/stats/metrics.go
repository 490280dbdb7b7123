package stats

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Family is all that a metric says under one name.
type Family struct {
	Name    string // letters, digits, _ and :, the first no digit
	Help    string // what it means, for people; may be ""
	Counter bool   // only ever grows; else it is a gauge
	Metrics []Metric
}

// Metric is one number of a family.
type Metric struct {
	Labels []Label // that tell it from the others
	Value  float64
}

// Label is a name and a value.
type Label struct {
	Name  string // letters, digits and _, the first no digit
	Value string
}

// ContentType is that of what WriteMetrics writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// WriteMetrics writes families in version 0.0.4 of Prometheus's text format:
//
//	# HELP agent_bytes_total Bytes of \n all peers.
//	# TYPE agent_bytes_total counter
//	agent_bytes_total{peer="a \"quoted\" name"} 42
//
// It writes nothing of a family that has no metrics, and nothing at all when a
// name is not one, which is an error. What is not UTF-8 in texts is replaced.
func WriteMetrics(w io.Writer, families []Family) error {
	var b []byte
	for _, f := range families {
		if err := f.check(); err != nil {
			return err
		}
		if len(f.Metrics) > 0 {
			b = f.append(b)
		}
	}
	_, err := w.Write(b)
	return err
}

func (f Family) check() error {
	if !isName(f.Name, "_:") {
		return fmt.Errorf("%q is not the name of a metric", f.Name)
	}
	for _, m := range f.Metrics {
		for _, l := range m.Labels {
			if !isName(l.Name, "_") {
				return fmt.Errorf("metric %s: %q is not the name of a label", f.Name, l.Name)
			}
		}
	}
	return nil
}

// isName reports whether a name has letters, digits and others only, and begins
// with no digit.
func isName(name, others string) bool {
	for i, c := range name {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.ContainsRune(others, c)
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (f Family) append(b []byte) []byte {
	kind := "gauge"
	if f.Counter {
		kind = "counter"
	}
	if f.Help != "" {
		b = fmt.Appendf(b, "# HELP %s %s\n", f.Name, escapeHelp.Replace(valid(f.Help)))
	}
	b = fmt.Appendf(b, "# TYPE %s %s\n", f.Name, kind)
	for _, m := range f.Metrics {
		b = fmt.Appendf(b, "%s%s %s\n", f.Name, m.labels(), strconv.FormatFloat(m.Value, 'g', -1, 64))
	}
	return b
}

// labels writes those of a metric, in braces if there are any.
func (m Metric) labels() string {
	if len(m.Labels) == 0 {
		return ""
	}
	var all []string
	for _, l := range m.Labels {
		all = append(all, l.Name+`="`+escapeLabel.Replace(valid(l.Value))+`"`)
	}
	return "{" + strings.Join(all, ",") + "}"
}

func valid(text string) string { return strings.ToValidUTF8(text, string(utf8.RuneError)) }
