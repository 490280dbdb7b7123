package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespaceDir is where iproute2 keeps the names of network namespaces.
const namespaceDir = "/run/netns"

// namespace is one network namespace with a name that iproute2 knows, so that
// a person can look into it with `ip netns exec`.
type namespace struct {
	name string
	ns   netns.NsHandle
	nl   *netlink.Handle
}

func newNamespace(name string) (_ *namespace, err error) {
	if err := command("ip", "netns", "add", name); err != nil {
		return nil, err
	}
	n := &namespace{name: name, ns: netns.None()}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if n.ns, err = netns.GetFromName(name); err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	if n.nl, err = netlink.NewHandleAt(n.ns, unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER); err != nil {
		return nil, fmt.Errorf("open netlink in %s: %w", name, err)
	}
	if err := n.up("lo"); err != nil {
		return nil, err
	}
	return n, nil
}

// close ends the processes inside and removes the namespace.
func (n *namespace) close() error {
	if n.nl != nil {
		n.nl.Close()
	}
	if n.ns.IsOpen() {
		n.ns.Close()
	}
	return removeNamespace(n.name)
}

// do runs f on a thread that is in the namespace. Goroutines started by f are
// not.
func (n *namespace) do(f func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own namespace: %w", err)
	}
	defer home.Close()
	if err := netns.Set(n.ns); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", n.name, err)
	}
	defer func() {
		if err := netns.Set(home); err != nil {
			panic(fmt.Sprintf("netlab: thread cannot leave namespace %s: %v", n.name, err))
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

func (n *namespace) openTun(name string) (fd int, err error) {
	err = n.do(func() error {
		fd, err = openTun(name)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("%s: %w", n.name, err)
	}
	return fd, nil
}

// sysctl sets a kernel setting by its path below /proc/sys/net.
func (n *namespace) sysctl(path, value string) error {
	return n.do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", path), []byte(value), 0)
	})
}

// run executes a command inside.
func (n *namespace) run(name string, args ...string) error {
	return command("nsenter", append([]string{"--net=" + n.path(), "--", name}, args...)...)
}

func (n *namespace) path() string { return filepath.Join(namespaceDir, n.name) }

// up raises a device.
func (n *namespace) up(device string) error {
	link, err := n.nl.LinkByName(device)
	if err == nil {
		err = n.nl.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("%s: raise %s: %w", n.name, device, err)
	}
	return nil
}

// command runs a tool and makes its output part of the error.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
