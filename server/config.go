package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/berthdev/berth/server/store"
)

// Config says how a server is reached and where its data is. The zero value
// needs DataDir or PostgresURL to be complete.
type Config struct {
	// HTTPAddress is the host:port of the main listener; port 0 takes a free
	// one. Empty means 127.0.0.1:7080: not reachable from elsewhere until
	// somebody decides that it shall be, on the port that the documentation
	// and the container images use.
	HTTPAddress string

	// AccessURL is how users, agents and clients reach the server. nil means
	// http and HTTPAddress; for a wildcard address the best address of this
	// host.
	AccessURL *url.URL

	// DataDir holds the SQLite database and caches; it is made when missing.
	DataDir string

	// PostgresURL, when set, is used in place of the SQLite database.
	PostgresURL string

	// RelayAddress is the host:port, TCP and UDP, of the relay's own listeners
	// (TLS and STUN). Empty means none: the relay is then reached on the main
	// listener only.
	RelayAddress string

	// BlockDirect lets peers talk over the relay only.
	BlockDirect bool

	// BinDir holds the binaries that /bin serves; empty means the directory
	// slim beside this executable.
	BinDir string

	// SessionDuration is how long a browser session lasts without use; 0
	// means 24h.
	SessionDuration time.Duration

	// NoRateLimits turns the limits on requests off, for load tests.
	NoRateLimits bool

	// Logger may be nil.
	Logger *slog.Logger

	keyWait time.Duration // how long the relay waits for a key; 0: as the coordinator does
}

const (
	defaultHTTPAddress     = "127.0.0.1:7080"
	defaultSessionDuration = 24 * time.Hour
)

// withDefaults fills in what zero means.
func (c Config) withDefaults() Config {
	if c.HTTPAddress == "" {
		c.HTTPAddress = defaultHTTPAddress
	}
	if c.SessionDuration == 0 {
		c.SessionDuration = defaultSessionDuration
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.BinDir == "" {
		if exe, err := os.Executable(); err == nil {
			c.BinDir = filepath.Join(filepath.Dir(exe), "slim")
		}
	}
	return c
}

// Check reports what is wrong with a configuration, before anything is opened.
func (c Config) Check() error {
	c = c.withDefaults()
	if err := checkHostPort(c.HTTPAddress); err != nil {
		return fmt.Errorf("http address %q: %w", c.HTTPAddress, err)
	}
	if c.RelayAddress != "" {
		if err := checkHostPort(c.RelayAddress); err != nil {
			return fmt.Errorf("relay address %q: %w", c.RelayAddress, err)
		}
	}
	if c.AccessURL != nil {
		if err := checkAccessURL(c.AccessURL); err != nil {
			return fmt.Errorf("access URL %q: %w", c.AccessURL, err)
		}
	}
	if c.SessionDuration < time.Minute {
		return fmt.Errorf("session duration %s: must be a minute or longer", c.SessionDuration)
	}
	if c.DataDir == "" && c.PostgresURL == "" {
		return errors.New("neither a data directory nor a PostgreSQL URL is given")
	}
	return nil
}

func checkHostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("want host:port")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return errors.New("want a port from 0 to 65535")
	}
	if host != "" && host != "localhost" && net.ParseIP(host) == nil {
		return errors.New("the host must be an address of this machine, or empty for all")
	}
	return nil
}

// hostGrammar is what the host of the access URL may be. The URL goes into
// shell scripts, commands to paste and SSH configurations.
var hostGrammar = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

func checkAccessURL(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the scheme must be http or https")
	case !hostGrammar.MatchString(u.Host):
		return errors.New("its host must be a name or an address, with or without a port")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("it must not have a user, query or fragment")
	case u.Path != "" && u.Path != "/":
		return errors.New("it must not have a path: the server wants a host of its own")
	}
	return nil
}

// storeConfig says where the database is.
func (c Config) storeConfig() store.Config {
	if c.PostgresURL != "" {
		return store.Config{PostgresURL: c.PostgresURL, Logger: c.Logger}
	}
	return store.Config{SQLitePath: filepath.Join(c.DataDir, "berth.db"), Logger: c.Logger}
}

// accessURL returns the configured URL without its slash, or the default for
// the address that is listened on.
func (c Config) accessURL(listening netip.AddrPort) *url.URL {
	if c.AccessURL != nil {
		return &url.URL{Scheme: c.AccessURL.Scheme, Host: c.AccessURL.Host}
	}
	if listening.Addr().IsUnspecified() {
		listening = netip.AddrPortFrom(localAddress(listening.Addr()), listening.Port())
	}
	return &url.URL{Scheme: "http", Host: listening.String()}
}

// localAddress is the address by which other hosts most likely reach this one:
// that of the way to the internet, else the loopback. No packet is sent.
func localAddress(wildcard netip.Addr) netip.Addr {
	for _, far := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // documentation prefixes: never local
		conn, err := net.Dial("udp", far)
		if err != nil {
			continue
		}
		local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
		conn.Close()
		return local
	}
	if wildcard.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}
