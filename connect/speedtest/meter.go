package speedtest

import "time"

// meter sums bytes in intervals.
type meter struct {
	began     time.Time
	done      []Interval
	current   Interval
	total     int64
	lastCount time.Duration
}

// count notes that n bytes were carried until now.
func (m *meter) count(n int, now time.Time) {
	at := now.Sub(m.began)
	for at >= m.current.Start+Every {
		m.current.End = m.current.Start + Every
		m.done = append(m.done, m.current)
		m.current = Interval{Start: m.current.End}
	}
	m.current.Bytes += int64(n)
	m.total += int64(n)
	m.lastCount = at
}

// result is the test as it is now.
func (m *meter) result() Result {
	m.count(0, time.Now())
	r := Result{Overall: Interval{End: m.lastCount, Bytes: m.total}, Intervals: m.done}
	if m.current.Bytes > 0 {
		last := m.current
		last.End = m.lastCount
		r.Intervals = append(r.Intervals, last)
	}
	return r
}
