package tailnet

import "time"

// liveness decides whether the home relay lives. The node sends a packet to
// itself through the relay when it has sent something and heard nothing, and
// now and then: NATs forget, networks change without telling, and TCP takes
// minutes to notice.
//
//	        quiet, or idleProbe passed
//	alive ------------------------------> asked
//	  ^                                     |
//	  | anything heard                      | probeTimeout passed
//	  +-------------------------------------+----> dead: redial, ask again;
//	                                             then examine it, ask again
type liveness struct {
	lastHeard, asked time.Time // asked is zero if no answer is awaited
	everHeard        bool      // from this relay, by this way
	failures         int       // in a row
}

const (
	// idleProbe is how often an idle relay is asked; most NATs keep a TCP
	// connection longer.
	idleProbe = 25 * time.Second

	// quietProbe is how long a relay that was sent packets may be quiet.
	quietProbe = 2 * time.Second

	// firstTimeout is how long a relay that never answered may take before we
	// look at how to reach it; it doubles with each failure up to maxTimeout.
	firstTimeout = 700 * time.Millisecond

	// probeTimeout is how long a relay that was alive may take.
	probeTimeout = 3 * time.Second
	maxTimeout   = 30 * time.Second

	// answerPatience is how long an answer may be awaited before the word that
	// the server is back makes us redial: more than a round trip under load.
	answerPatience = 500 * time.Millisecond
)

// relayAction is what to do about the relay.
type relayAction int

const (
	relayFine    relayAction = iota
	relayAsk                 // send the packet to ourselves
	relayRedial              // it was alive and is dead: redial, then ask
	relayExamine             // it never answered: find out how to reach it, then ask
)

// heard notes that something came through the relay.
func (l *liveness) heard(now time.Time) {
	l.lastHeard, l.asked, l.everHeard, l.failures = now, time.Time{}, true, 0
}

// waited is how long an answer has been awaited; 0 if none is.
func (l *liveness) waited(now time.Time) time.Duration {
	if l.asked.IsZero() {
		return 0
	}
	return now.Sub(l.asked)
}

// tick decides. used says that packets were sent to the relay since the last
// tick. The caller does what it says at once.
func (l *liveness) tick(now time.Time, used bool) relayAction {
	if l.asked.IsZero() {
		quiet := now.Sub(l.lastHeard)
		if used && quiet >= quietProbe || quiet >= idleProbe {
			l.asked = now
			return relayAsk
		}
		return relayFine
	}
	if now.Sub(l.asked) < l.timeout() {
		return relayFine
	}
	l.asked = now
	l.failures++
	if l.everHeard && l.failures == 1 {
		return relayRedial
	}
	return relayExamine // its host may have moved
}

func (l *liveness) timeout() time.Duration {
	first := firstTimeout
	if l.everHeard {
		first = probeTimeout
	}
	return min(first<<min(l.failures, 8), maxTimeout)
}
