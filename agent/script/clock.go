//go:build linux

package script

import "time"

// restartClockLocked ends the schedules and begins those of the scripts now,
// if the start is over.
func (r *Runner) restartClockLocked() {
	if r.clock != nil {
		close(r.clock)
		r.clock = nil
	}
	if !r.phase.Phase.past(StartTimeout) || r.phase.Phase.past(ShuttingDown) {
		return
	}
	r.clock = make(chan struct{})
	for _, s := range r.atLocked(func(s Script) bool { return s.Cron != "" }) {
		clock := r.clock
		r.running.Go(func() { r.keepTime(s, clock) })
	}
}

// keepTime runs a script when it is due, one run at a time, until over is
// closed.
func (r *Runner) keepTime(s *scripted, over <-chan struct{}) {
	expr, err := schedule(s.Cron)
	if err != nil {
		s.out.say(true, "%v", err)
		return
	}
	for due := next(expr, time.Now()); !due.IsZero(); {
		timer := time.NewTimer(min(time.Until(due), clockStep))
		select {
		case <-timer.C:
		case <-over:
			timer.Stop()
			return
		case <-r.early.Done():
			timer.Stop()
			return
		}
		if time.Now().Before(due) {
			due = next(expr, time.Now()) // the clock may have jumped back
			continue
		}
		r.run(r.early, s, ByCron)
		due = next(expr, time.Now())
	}
}
