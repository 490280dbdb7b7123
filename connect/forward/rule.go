package forward

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// Endpoint is where one side of a rule is: a port, or a Unix socket.
type Endpoint struct {
	// Host is a name or address; "" means the loopback of that side.
	Host string
	// Port is from 1 on; of the side that listens, 0 means one that is free.
	Port uint16
	// Path is that of a Unix socket; then Host and Port are empty.
	Path string
}

// String is how the endpoint is written in a rule.
func (e Endpoint) String() string {
	switch {
	case e.Path != "":
		return e.Path
	case e.Host == "":
		return strconv.Itoa(int(e.Port))
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// Rule says what is carried where.
type Rule struct {
	Network string // tcp or udp; Unix sockets carry what tcp does
	Listen  Endpoint
	Target  Endpoint
}

// maxRules bounds what one list of rules may ask for.
const maxRules = 10000

// Parse reads a list of rules, separated by commas; the package comment has the
// forms.
func Parse(network, list string) ([]Rule, error) {
	var rules []Rule
	for text := range strings.SplitSeq(list, ",") {
		more, err := parse(network, strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		if rules = append(rules, more...); len(rules) > maxRules {
			return nil, fmt.Errorf("%q: more than %d ports", text, maxRules)
		}
	}
	return rules, nil
}

func parse(network, text string) ([]Rule, error) {
	parts, err := split(text)
	if err != nil {
		return nil, err
	}
	listen, rest, err := takeListen(parts)
	if err != nil {
		return nil, err
	}
	target := listen
	target.host = ""
	if len(rest) > 0 {
		if target, err = takeTarget(rest); err != nil {
			return nil, err
		}
	}
	if len(rest) == 0 && listen.path != "" {
		return nil, errors.New("a socket needs something on the other side, like " + listen.path + ":8080")
	}
	return pair(network, listen, target)
}

// split cuts at colons, but not at those within brackets.
func split(text string) (parts []string, err error) {
	for text != "" {
		end := strings.IndexByte(text, ':')
		if strings.HasPrefix(text, "[") {
			closed := strings.IndexByte(text, ']')
			if closed < 0 {
				return nil, errors.New("an address has no closing bracket")
			}
			if end = closed + 1; end < len(text) && text[end] != ':' {
				return nil, errors.New("want a colon after an address in brackets")
			}
			if end == len(text) {
				end = -1
			}
		}
		if end < 0 {
			return append(parts, text), nil
		}
		parts, text = append(parts, text[:end]), text[end+1:]
		if text == "" {
			return nil, errors.New("nothing follows the last colon")
		}
	}
	return parts, nil
}

// span is an endpoint with as many ports as there are from first to last.
type span struct {
	host, path  string
	first, last uint16
}

func (s span) at(i int) Endpoint {
	if s.path != "" {
		return Endpoint{Path: s.path}
	}
	return Endpoint{Host: s.host, Port: s.first + uint16(i)}
}

// count is the number of ports; a socket goes with one.
func (s span) count() int { return int(s.last) - int(s.first) + 1 }

// takeListen reads the side of this machine and returns what follows it.
func takeListen(parts []string) (s span, rest []string, err error) {
	switch {
	case len(parts) == 0:
		return s, nil, errors.New("want a port, as in 8080 or 8080:80")
	case isPath(parts[0]):
		return span{path: parts[0]}, parts[1:], nil
	case isPorts(parts[0]):
		s, err = ports("", parts[0], 0)
		return s, parts[1:], err
	case len(parts) < 2 || !isPorts(parts[1]):
		return s, nil, errors.New("want a port, as in 8080, 8080:80 or 127.0.0.1:8080:80")
	}
	name, err := host(parts[0])
	if err != nil {
		return s, nil, err
	}
	s, err = ports(name, parts[1], 0)
	return s, parts[2:], err
}

// takeTarget reads the side of the workspace, and wants that to be all.
func takeTarget(parts []string) (s span, err error) {
	switch {
	case isPath(parts[0]):
		s = span{path: strings.Join(parts, ":")}
		return s, nil
	case len(parts) == 1:
		return ports("", parts[0], 1)
	case len(parts) == 2:
		name, err := host(parts[0])
		if err != nil {
			return s, err
		}
		return ports(name, parts[1], 1)
	}
	return s, errors.New("too many colons; an IPv6 address stands in brackets")
}

// host is a name or address without its brackets; the name of the loopback is
// none.
func host(text string) (string, error) {
	if inside, ok := strings.CutPrefix(text, "["); ok {
		inside = strings.TrimSuffix(inside, "]")
		if addr, err := netip.ParseAddr(inside); err != nil || !addr.Is6() {
			return "", fmt.Errorf("%s is no IPv6 address", text)
		}
		return inside, nil
	}
	if text == "localhost" {
		return "", nil
	}
	if isPorts(text) || strings.ContainsFunc(text, notOfName) {
		return "", fmt.Errorf("%q is no host", text)
	}
	return text, nil
}

func notOfName(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '-' && r != '_'
}

func isPath(text string) bool { return strings.HasPrefix(text, "/") }

// isPorts tells ports from a host, which no number can be.
func isPorts(text string) bool {
	return text != "" && strings.Trim(text, "0123456789-") == ""
}

// ports reads a port or a range, whose ports are least or higher.
func ports(host, text string, least uint16) (span, error) {
	from, to, isRange := strings.Cut(text, "-")
	first, err := port(from, least)
	if err != nil || !isRange {
		return span{host: host, first: first, last: first}, err
	}
	last, err := port(to, least)
	if err == nil && (last < first || first == 0) {
		err = fmt.Errorf("%s is no range of ports", text)
	}
	return span{host: host, first: first, last: last}, err
}

func port(text string, least uint16) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || uint16(n) < least {
		return 0, fmt.Errorf("%q is no port: want a number from %d to 65535", text, least)
	}
	return uint16(n), nil
}

// pair makes a rule of each port.
func pair(network string, listen, target span) ([]Rule, error) {
	switch {
	case network == "udp" && (listen.path != "" || target.path != ""):
		return nil, errors.New("sockets go with tcp only")
	case network == "udp" && target.host != "":
		return nil, errors.New("udp reaches ports of the workspace itself only")
	case target.path == "" && target.first == 0:
		return nil, errors.New("a port to connect to is from 1 to 65535")
	case listen.count() != target.count():
		return nil, fmt.Errorf("%d ports and %d: both sides need as many", listen.count(), target.count())
	}
	rules := make([]Rule, listen.count())
	for i := range rules {
		rules[i] = Rule{Network: network, Listen: listen.at(i), Target: target.at(i)}
	}
	return rules, nil
}
