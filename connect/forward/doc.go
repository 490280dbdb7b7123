// Package forward carries connections and datagrams that come to a port or Unix
// socket of this machine to one that a workspace reaches.
//
// A rule names both ends. In short forms the port is the same on both sides, and
// ranges are as many rules as they have ports:
//
//	8080                            127.0.0.1 and ::1, to the workspace's port 8080
//	5678:1234                       another port here
//	9090-9092:19090-19092           three ports
//	0.0.0.0:8080:80, [::1]:8080:80  the address here
//	5432:db.internal:5432           a host that the workspace reaches
//	/tmp/here.sock:8080             a Unix socket here
//	2375:/run/docker.sock           one there
//
// How the other end is reached is the caller's: see Dial. An end of one direction
// is passed on as such, so that protocols that half-close work. A connection whose
// other end cannot be reached is reset.
package forward
