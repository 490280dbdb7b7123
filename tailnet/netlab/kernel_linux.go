package netlab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"sync"
)

// TB is what a lab needs of a testing.TB. A program that is no test, such as a
// benchmark, brings its own; its Fatalf must not return.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// KernelConfig tunes a kernel lab. The zero value gives IPv4 with Ethernet's
// packet size.
type KernelConfig struct {
	// IPv6 gives every node an IPv6 address too. It is routed without NAT,
	// as at home: NAT routers only keep strangers from calling in. Two nodes
	// behind hard NATs have a direct way then.
	IPv6 bool

	// MTU is the packet size of every link; 0 means 1500.
	MTU int
}

// Kernel is a network of kernel namespaces. At its top is the public segment,
// 198.18.0.0/24, of the range for benchmarks (RFC 2544), which no real network
// uses; router k below it owns 10.198.k.0/24, private as at home. There are no
// names, only addresses.
//
// Methods that build or change the network, or start programs, fail the test
// when they cannot, and belong to the test's goroutine.
type Kernel struct {
	t      TB
	cfg    KernelConfig
	prefix string // of the namespaces' names
	top    *Router
	spawn  *spawner
	close  func()

	nodes   []*node
	routers int
	links   uint64

	mu    sync.Mutex // guards below
	procs []*Proc
}

// NewKernel makes a lab with an empty public segment. It needs root, iproute2,
// iptables and /dev/net/tun, and fails the test where one is missing; run the
// tests with -skip to leave the kernel labs out. The lab is closed with the
// test. Labs of processes that were killed are removed first. While the lab is
// there, `ip netns exec` and the names of `ip netns list` let a person look
// into it.
func NewKernel(t TB, cfg KernelConfig) *Kernel {
	t.Helper()
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	prefix, err := prepare()
	if err != nil {
		t.Fatalf("netlab: %v", err)
	}
	k := &Kernel{t: t, cfg: cfg, prefix: prefix, spawn: newSpawner()}
	k.close = sync.OnceFunc(k.tearDown)
	t.Cleanup(k.Close)
	k.top = k.newRouter("internet", nil, Routed)
	return k
}

// prepare checks what a lab needs, removes leftovers and gives the lab a name.
func prepare() (prefix string, err error) {
	if os.Geteuid() != 0 {
		return "", errors.New("kernel namespaces need root: run the tests as root, or leave these out with -skip")
	}
	for _, tool := range []string{"ip", "iptables", "ip6tables", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%w (Debian packages: iproute2 iptables util-linux)", err)
		}
	}
	if err := removeLeftovers(); err != nil {
		return "", fmt.Errorf("remove leftovers: %w", err)
	}
	prefix, err = namePrefix()
	return prefix + rand.Text()[:6] + "-", err
}

// Host adds a host to the public segment.
func (k *Kernel) Host(name string) *Host {
	k.t.Helper()
	return k.top.Host(name)
}

// Router adds a router to the public segment, with an empty network behind it.
func (k *Kernel) Router(name string, kind RouterKind) *Router {
	k.t.Helper()
	return k.top.Router(name, kind)
}

// Public is the segment itself, for Host.MoveTo.
func (k *Kernel) Public() *Router { return k.top }

// Close kills every process in the lab and removes it. It may be called twice;
// the test's end calls it too.
func (k *Kernel) Close() { k.close() }

// tearDown goes from the processes down to the wires, so that nothing is torn
// from under something that lives.
func (k *Kernel) tearDown() {
	for _, n := range k.nodes {
		if err := n.ns.close(); err != nil {
			k.t.Errorf("netlab: remove %s: %v", n.name, err)
		}
	}
	k.mu.Lock()
	procs := k.procs
	k.mu.Unlock()
	for _, p := range procs {
		p.finish()
	}
	k.spawn.close()
	for _, n := range k.nodes {
		if n.link != nil {
			n.link.close()
		}
	}
}

var nodeName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// newNode makes a namespace and joins it to the network of above, if any.
func (k *Kernel) newNode(name string, above *Router) (*node, error) {
	if !nodeName.MatchString(name) {
		return nil, fmt.Errorf("node name %q has more than a-z, 0-9 and -", name)
	}
	ns, err := newNamespace(k.prefix + name)
	if err != nil {
		return nil, err
	}
	n := &node{lab: k, name: name, ns: ns}
	k.nodes = append(k.nodes, n)
	if err := n.setDefaults(); err != nil {
		return nil, err
	}
	if above == nil {
		return n, nil
	}
	return n, n.attach(above)
}

// newRouter makes a router; the top one has nothing above.
func (k *Kernel) newRouter(name string, above *Router, kind RouterKind) *Router {
	k.t.Helper()
	n, err := k.newNode(name, above)
	if err != nil {
		k.t.Fatalf("netlab: make router %s: %v", name, err)
	}
	r := &Router{node: n, kind: kind, number: byte(k.routers), used: 1}
	if k.routers++; k.routers > 255 {
		k.t.Fatalf("netlab: make router %s: a lab has room for 255", name)
	}
	if err := r.serve(); err != nil {
		k.t.Fatalf("netlab: make router %s: %v", name, err)
	}
	return r
}

// subnet4 and subnet6 are the networks behind router number.
func subnet4(number byte) netip.Prefix {
	if number == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, 0}), 24)
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 198, number, 0}), 24)
}

func subnet6(number byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x01, 3: 0x98, 5: number}), 64)
}

// within is the address of the given number in a network.
func within(p netip.Prefix, number byte) netip.Addr {
	raw := p.Addr().AsSlice()
	raw[len(raw)-1] = number
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}
