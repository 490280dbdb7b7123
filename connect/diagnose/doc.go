// Package diagnose finds out why a server is not reached, or not well: one step
// after the other, each of which stands on those before it, and says what can be
// done. Commands add steps of their own.
package diagnose

import (
	"context"
	"time"
)

// Finding is what one step found.
type Finding struct {
	What string // the step, a word; "" for a step that did not apply
	Text string // what was found
	// Err is why things do not work, or not as well; nil is that all is well.
	Err error
	// Mild says that things work nevertheless.
	Mild bool
	// Hint is what can be done about Err.
	Hint string
}

// Fails reports whether nothing can work.
func (f Finding) Fails() bool { return f.Err != nil && !f.Mild }

// Step finds out one thing until ctx ends.
type Step func(ctx context.Context) Finding

// stepTimeout bounds one step.
const stepTimeout = 5 * time.Second

// Run takes the steps in order, tells what each found, and ends at the first
// that fails, which it reports.
func Run(ctx context.Context, steps []Step, tell func(Finding)) (failed bool) {
	for _, step := range steps {
		stepCtx, cancel := context.WithTimeout(ctx, stepTimeout)
		f := step(stepCtx)
		cancel()
		if f.What == "" {
			continue
		}
		tell(f)
		if f.Fails() {
			return true
		}
	}
	return false
}
