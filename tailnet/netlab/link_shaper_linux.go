package netlab

import (
	"math/rand/v2"
	"time"
)

// Conditions is what one direction of a link does to packets. The zero value
// is a perfect wire: no delay, no loss, no limit.
type Conditions struct {
	// Latency is added to every packet, one way.
	Latency time.Duration

	// Jitter is the largest extra delay; each packet gets a random part of
	// it. Packets never overtake each other.
	Jitter time.Duration

	// Loss is the probability, 0 to 1, that a packet is lost.
	Loss float64

	// LossPackets limits Loss to the first so many packets after Set; 0
	// means all.
	LossPackets int

	// Rate is the capacity in bits per second of IP packets; 0 is no limit.
	Rate int64

	// Queue is how long a packet may wait for its turn at Rate before it is
	// dropped instead; 0 means 100ms, as in a home router.
	Queue time.Duration

	// Down drops everything, also packets already under way.
	Down bool

	// Seed starts the random sequence anew with every Set, so that equal
	// traffic after equal Sets meets an equal fate. Both directions of a
	// link and all links draw from different sequences.
	Seed uint64
}

// perfect reports whether packets may pass untouched.
func (c Conditions) perfect() bool {
	return c.Latency <= 0 && c.Jitter <= 0 && c.Loss <= 0 && c.Rate <= 0 && !c.Down
}

const (
	defaultQueue = 100 * time.Millisecond

	// maxInFlight bounds the bytes held by one direction: 100ms at 5 Gbit/s.
	maxInFlight = 64 << 20
)

// verdict is the fate of one packet.
type verdict int

const (
	deliver  verdict = iota
	lost             // by Conditions.Loss
	overflow         // the queue is full
	cut              // the link is down
)

// shaper decides the fate of packets. It has no clock and does no I/O.
type shaper struct {
	cond   Conditions
	stream uint64 // tells this direction's random sequences from others'
	losses *rand.Rand
	delays *rand.Rand

	seen     int           // packets since the last set
	wireFree time.Duration // when the last admitted packet has left at Rate
	lastDue  time.Duration // when the last admitted packet arrives
	inFlight int           // bytes admitted and not yet done
}

func (s *shaper) set(c Conditions) {
	if c.Queue <= 0 {
		c.Queue = defaultQueue
	}
	s.cond = c
	s.losses = rand.New(rand.NewPCG(c.Seed, 2*s.stream))
	s.delays = rand.New(rand.NewPCG(c.Seed, 2*s.stream+1))
	s.seen, s.wireFree = 0, 0
}

// admit decides about a packet of size bytes that entered the link at now. A
// packet to deliver arrives at due and counts as in flight until done.
func (s *shaper) admit(now time.Duration, size int) (due time.Duration, v verdict) {
	s.seen++
	if s.cond.Down {
		return 0, cut
	}
	if s.loses() {
		return 0, lost
	}
	start := max(now, s.wireFree)
	if start-now > s.cond.Queue || s.inFlight+size > maxInFlight {
		return 0, overflow
	}
	s.wireFree = start + s.sending(size)
	s.lastDue = max(s.lastDue, s.wireFree+s.cond.Latency+s.jitter())
	s.inFlight += size
	return s.lastDue, deliver
}

// done ends what admit began.
func (s *shaper) done(size int) { s.inFlight -= size }

// loses draws for every packet while there is any loss, so that the fate of
// the n-th packet depends on n and the seed alone.
func (s *shaper) loses() bool {
	if s.cond.Loss <= 0 || s.cond.LossPackets > 0 && s.seen > s.cond.LossPackets {
		return false
	}
	return s.losses.Float64() < s.cond.Loss
}

func (s *shaper) jitter() time.Duration {
	if s.cond.Jitter <= 0 {
		return 0
	}
	return time.Duration(s.delays.Int64N(int64(s.cond.Jitter) + 1))
}

// sending is how long a packet occupies the wire.
func (s *shaper) sending(size int) time.Duration {
	if s.cond.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(size) * 8 / float64(s.cond.Rate) * float64(time.Second))
}
