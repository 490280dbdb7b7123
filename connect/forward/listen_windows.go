package forward

import "net"

// listenPrivately makes a socket with the rights that its directory gives.
func listenPrivately(path string) (net.Listener, error) { return net.Listen("unix", path) }
