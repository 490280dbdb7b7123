package netlab

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// vnetHeader is the length of the struct virtio_net_hdr that precedes
	// every packet of our tun devices; it tells the kernel on the other side
	// how to cut a large segment and which checksum is still to be made.
	vnetHeader = 10

	// maxRead is the largest packet a tun gives at once.
	maxRead = vnetHeader + 65535

	// offloads lets the kernel hand over whole TCP segments of up to 64 KiB
	// without checksums: ten times the throughput.
	offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
)

// openTun makes a tun device in the network namespace of the calling thread.
// The device lives until the returned descriptor is closed.
func openTun(name string) (fd int, err error) {
	fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("make tun %s: %w", name, err)
	}
	return fd, nil
}

// setOffload says whether the tun may give large segments or must give the
// packets as they would be on a wire.
func setOffload(fd int, on bool) error {
	flags := 0
	if on {
		flags = offloads
	}
	return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, flags)
}

// unicast reports whether frame, a header and an IP packet, goes to one
// receiver. The kernel's own multicast (router and listener reports) would
// only disturb what tests count.
func unicast(frame []byte) bool {
	ip := frame[min(vnetHeader, len(frame)):]
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		return ip[16] < 224
	case len(ip) >= 40 && ip[0]>>4 == 6:
		return ip[24] != 0xff
	}
	return false
}
