package server

import (
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/berthdev/berth/server/auth"
)

// Requests per minute (reference: server §2).
const (
	loginsPerMinute   = 60  // of one address: passwords cost CPU and can be guessed
	requestsPerMinute = 512 // of one user to one route; of one address without a user
)

const (
	limitWindow = time.Minute
	// maxBuckets bounds the memory of a limiter to about 10 MiB.
	maxBuckets = 64 << 10
)

// limiter counts requests in windows of a minute. When too many callers are
// counted in one window the rest share a count.
type limiter struct {
	off bool

	mu     sync.Mutex
	began  time.Time
	counts map[bucket]int
}

// bucket is one count: who asks for what.
type bucket struct{ who, what string }

// allow counts a request and reports whether it is within max; if not, it says
// when the window ends.
func (l *limiter) allow(b bucket, max int, now time.Time) (wait time.Duration, ok bool) {
	if l.off {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.began) >= limitWindow || now.Before(l.began) {
		l.began, l.counts = now, map[bucket]int{}
	}
	if _, known := l.counts[b]; !known && len(l.counts) >= maxBuckets {
		b = bucket{}
	}
	l.counts[b]++
	return l.began.Add(limitWindow).Sub(now), l.counts[b] <= max
}

func (s *Server) limit(b bucket, max int) error {
	wait, allowed := s.limits.allow(b, max, time.Now())
	if allowed {
		return nil
	}
	seconds := strconv.Itoa(int(wait/time.Second) + 1)
	p := refuse(http.StatusTooManyRequests, "Too many requests. Try again in "+seconds+" seconds.", "")
	p.retryAfter = seconds
	return p
}

func (s *Server) limitLogin(r *http.Request) error {
	return s.limit(bucket{network(remoteIP(r)), "login"}, loginsPerMinute)
}

// limitStranger counts the requests that had no good token.
func (s *Server) limitStranger(r *http.Request) error {
	return s.limit(bucket{network(remoteIP(r)), "stranger"}, requestsPerMinute)
}

// limitUser counts per user and route, so that a client that follows many
// things is not in the way of another one.
func (s *Server) limitUser(r *http.Request, c caller) error {
	if r.Header.Get("X-Coder-Bypass-Ratelimit") == "true" && c.Has(auth.RoleOwner) {
		return nil
	}
	return s.limit(bucket{c.UserID.String(), r.Method + " " + routeOf(r)}, requestsPerMinute)
}

// network is the part of an address that one customer of a provider has: a
// host with IPv6 has a whole /64 of addresses to itself.
func network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || !a.Is6() || a.Is4In6() {
		return ip
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return ip
	}
	return p.String()
}
