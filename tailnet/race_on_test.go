//go:build race

package tailnet

// slow stretches the bounds on time where the race detector slows all down.
const slow = 4
