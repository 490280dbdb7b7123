package forward

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
)

// loopback is where an endpoint without a host listens. The first has to be
// there; the second is for programs that turn localhost into ::1.
var loopback = [2]string{"127.0.0.1", "::1"}

// onAddresses opens what listens at an endpoint. A free port is the same one on
// both addresses of the loopback.
func onAddresses[T io.Closer](at Endpoint, open func(address string) (T, net.Addr, error)) ([]T, error) {
	if at.Host != "" {
		one, _, err := open(at.String())
		if err != nil {
			return nil, err
		}
		return []T{one}, nil
	}
	first, addr, err := open(Endpoint{Host: loopback[0], Port: at.Port}.String())
	if err != nil {
		return nil, err
	}
	bound, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return nil, errors.Join(err, first.Close())
	}
	second, _, err := open(Endpoint{Host: loopback[1], Port: bound.Port()}.String())
	switch {
	case err == nil:
		return []T{first, second}, nil
	case errors.Is(err, errInUse): // programs would reach somebody else there
		return nil, errors.Join(err, first.Close())
	}
	return []T{first}, nil // this machine has no IPv6
}

// family is network for the kind of address that host is: Go would take 0.0.0.0
// for every address, those of IPv6 too.
func family(network, host string) string {
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return network
	case addr.Is4():
		return network + "4"
	}
	return network + "6"
}

func listenStream(at Endpoint) ([]net.Listener, error) {
	if at.Path != "" {
		ln, err := listenUnix(at.Path)
		if err != nil {
			return nil, err
		}
		return []net.Listener{ln}, nil
	}
	return onAddresses(at, func(address string) (net.Listener, net.Addr, error) {
		ln, err := net.Listen(family("tcp", at.Host), address)
		if err != nil {
			return nil, nil, err
		}
		return ln, ln.Addr(), nil
	})
}

// listenUnix makes a socket that only this user can reach. One that is left of a
// process that was killed is replaced.
func listenUnix(path string) (net.Listener, error) {
	ln, err := listenPrivately(path)
	if errors.Is(err, errInUse) && isAbandoned(path) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove a socket that nobody listens on: %w", err)
		}
		ln, err = listenPrivately(path)
	}
	return ln, err
}

func isAbandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, errRefused)
}
