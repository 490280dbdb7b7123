package sshconfig

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Names by which workspaces are known when nobody says others.
const (
	DefaultPrefix = "coder."
	DefaultSuffix = "coder"
)

var (
	yesNo   = regexp.MustCompile(`^(yes|no)$`)
	onlyNo  = regexp.MustCompile(`^no$`)
	count   = regexp.MustCompile(`^[0-9]{1,6}$`)
	seconds = regexp.MustCompile(`^[0-9]{1,6}[sm]?$`)
)

// fromServer are the options that a server may set, in lower case, and the
// values that it may give them: those that ssh takes, because one that it does
// not take stops ssh for every host. None of them runs or reads anything on this
// machine, opens a way back to it, or weakens what other hosts rely on; what
// forwards something may only be switched off.
var fromServer = map[string]*regexp.Regexp{
	"compression":         yesNo,
	"connectionattempts":  regexp.MustCompile(`^[1-9][0-9]{0,2}$`),
	"connecttimeout":      seconds,
	"forwardagent":        onlyNo,
	"forwardx11":          onlyNo,
	"forwardx11trusted":   onlyNo,
	"loglevel":            regexp.MustCompile(`^(QUIET|FATAL|ERROR|INFO|VERBOSE|DEBUG[123]?)$`),
	"requesttty":          regexp.MustCompile(`^(yes|no|force|auto)$`),
	"sendenv":             regexp.MustCompile(`^(LANG|LC_[A-Z*]+)( (LANG|LC_[A-Z*]+))*$`), // no others: they may be secrets
	"serveralivecountmax": count,
	"serveraliveinterval": seconds,
	"setenv":              regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=[A-Za-z0-9_./:@,+-]*( [A-Za-z_][A-Za-z0-9_]*=[A-Za-z0-9_./:@,+-]*)*$`),
	"tcpkeepalive":        yesNo,
	"user":                regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`),
}

// FromServer takes of the options that a server sends those that are harmless,
// as lines sorted by name, and says for each other why it does not. An option
// with an empty value is none.
func FromServer(options map[string]string) (lines, refused []string) {
	byName := func(a, b string) int {
		return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
	}
	for _, key := range slices.SortedFunc(maps.Keys(options), byName) {
		value := options[key]
		grammar, known := fromServer[strings.ToLower(key)]
		switch {
		case !known:
			refused = append(refused, fmt.Sprintf("%.40q is not for a server to set", key))
		case value == "":
		case !grammar.MatchString(value):
			refused = append(refused, fmt.Sprintf("%.40q may not be %.100q", key, value))
		default:
			lines = append(lines, key+"="+value)
		}
	}
	return lines, refused
}

// ServerPrefix takes the prefix that a server sends, or says why it does not
// and takes the default. What begins with it is led to workspaces of that
// server, without a check of its key: "github." would catch github.com.
func ServerPrefix(prefix string) (string, error) {
	if prefix == "" || prefixGrammar.MatchString(prefix) && strings.HasPrefix(prefix, "coder") {
		return prefix, nil
	}
	return DefaultPrefix, fmt.Errorf("the prefix %.70q does not begin with coder", prefix)
}

// ServerSuffix takes the suffix that a server of that host name sends, or says
// why it does not and takes the default: for the same reason it is the name of
// the server, or below it, or begins with coder.
func ServerSuffix(suffix, server string) (string, error) {
	switch {
	case suffix == "":
		return "", nil
	case len(suffix) > 100 || !suffixGrammar.MatchString(suffix):
		return DefaultSuffix, fmt.Errorf("the suffix %.70q is not a host name", suffix)
	case suffix == server || strings.HasSuffix(suffix, "."+server) || strings.HasPrefix(suffix, "coder"):
		return suffix, nil
	}
	return DefaultSuffix, fmt.Errorf("the suffix %q neither begins with coder nor is below %s", suffix, server)
}
