package netlab

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Link joins a node to the network above it: a tun device in each of the two
// namespaces and two goroutines that move packets between them.
type Link struct {
	Out *Direction // away from the node
	In  *Direction // towards the node

	close func()
}

// Set changes the conditions of both directions and returns when they are in
// force.
func (l *Link) Set(c Conditions) {
	l.Out.Set(c)
	l.In.Set(c)
}

// newLink makes device name in node and device aboveName in above, both
// still down and without addresses. The devices vanish when the link closes or
// the process ends.
func newLink(node, above *namespace, name, aboveName string, stream uint64) (*Link, error) {
	near, err := node.openTun(name)
	if err != nil {
		return nil, err
	}
	far, err := above.openTun(aboveName)
	if err != nil {
		unix.Close(near)
		return nil, err
	}
	return joinTuns(near, far, stream)
}

// joinTuns takes over both descriptors.
func joinTuns(near, far int, stream uint64) (*Link, error) {
	closeBoth := func() {
		unix.Close(near)
		unix.Close(far)
	}
	out, err := newDirection(near, far, 2*stream)
	if err != nil {
		closeBoth()
		return nil, fmt.Errorf("start link: %w", err)
	}
	in, err := newDirection(far, near, 2*stream+1)
	if err != nil {
		out.close()
		closeBoth()
		return nil, fmt.Errorf("start link: %w", err)
	}
	return &Link{Out: out, In: in, close: sync.OnceFunc(func() {
		out.close()
		in.close()
		closeBoth()
	})}, nil
}
