//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// row is one line of the table.
type row struct {
	name      string
	value     float64
	unit      string
	peer      string // what it is compared with; "" is nothing
	peerValue float64
	limits    []limit
	err       error // why there is no value
}

// limit is a budget for the value of a row or for its ratio to the peer's.
type limit struct {
	ratio, least bool
	bound        float64
}

func atMost(v float64) limit       { return limit{bound: v} }
func ratioAtMost(v float64) limit  { return limit{ratio: true, bound: v} }
func ratioAtLeast(v float64) limit { return limit{ratio: true, least: true, bound: v} }

func (l limit) String() string {
	sign, kind := "≤ ", ""
	if l.least {
		sign = "≥ "
	}
	if l.ratio {
		kind = " ×"
	}
	return sign + number(l.bound) + kind
}

func (l limit) met(r row) bool {
	v := r.value
	if l.ratio {
		v = r.value / r.peerValue
	}
	if l.least {
		return v >= l.bound
	}
	return v <= l.bound
}

// failed is a row without a value.
func failed(name string, err error) row { return row{name: name, err: err} }

// cells are the row as the table shows it.
func (r row) cells() []string {
	if r.err != nil {
		return []string{r.name, "error, see below", "", "", "", "", "", "no"}
	}
	c := []string{r.name, number(r.value), r.unit, r.peer, "", "", "", ""}
	if r.peer != "" {
		c[4], c[5] = number(r.peerValue), number(r.value/r.peerValue)
	}
	var texts []string
	met := "yes"
	for _, l := range r.limits {
		texts = append(texts, l.String())
		if !l.met(r) {
			met = "no"
		}
	}
	if len(texts) > 0 {
		c[6], c[7] = strings.Join(texts, ", "), met
	}
	return c
}

// number has three significant digits, and all of those before the point.
func number(v float64) string {
	if v >= 1000 || v == 0 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func printTable(w io.Writer, rows []row) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "name\tvalue\tunit\tpeer\tpeer value\tratio\tbudget\tmet")
	for _, r := range rows {
		fmt.Fprintln(tab, strings.Join(r.cells(), "\t"))
	}
	tab.Flush()
	for _, r := range rows {
		if r.err != nil {
			fmt.Fprintf(w, "\n%s: %v\n", r.name, r.err)
		}
	}
}

func writeJSON(file string, rows []row) error {
	type entry struct {
		Name      string  `json:"name"`
		Value     float64 `json:"value"`
		Unit      string  `json:"unit"`
		Peer      string  `json:"peer"`
		PeerValue float64 `json:"peer_value"`
	}
	list := []entry{}
	for _, r := range rows {
		if r.err == nil {
			list = append(list, entry{r.name, r.value, r.unit, r.peer, r.peerValue})
		}
	}
	raw, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}
