package bundle

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Masked stands where a secret was.
const Masked = "[masked]"

const (
	// minSecret is how long a value has to be, in bytes, to be looked for: a
	// shorter one would be found in every other word.
	minSecret = 6
	// minLine is the same for one line of a value of several, such as a key.
	minLine = 16
)

// Redactor masks secrets. Know may not be called beside the other methods.
type Redactor struct {
	forms [][]byte // of the values, longest first
}

// Know has a value masked wherever it stands: as it is, line by line, and as it
// is written within quotes, JSON, URLs and Basic authorisation. Values of less
// than six bytes are passed over.
func (r *Redactor) Know(value string) {
	value = strings.TrimSpace(value)
	r.know(value, minSecret)
	if strings.Contains(value, "\n") {
		for line := range strings.Lines(value) {
			r.know(strings.TrimSpace(line), minLine)
		}
	}
	slices.SortStableFunc(r.forms, func(a, b []byte) int { return cmp.Compare(len(b), len(a)) })
}

func (r *Redactor) know(value string, least int) {
	if len(value) < least {
		return
	}
	quoted := strconv.Quote(value)
	inJSON, _ := json.Marshal(value) // a string always can be
	for _, form := range []string{
		value, quoted[1 : len(quoted)-1], string(inJSON[1 : len(inJSON)-1]), url.QueryEscape(value), url.PathEscape(value),
		base64.StdEncoding.EncodeToString([]byte(value)),
	} {
		if !slices.ContainsFunc(r.forms, func(f []byte) bool { return string(f) == form }) {
			r.forms = append(r.forms, []byte(form))
		}
	}
}

// secretWord is what names of secret things have in them.
const secretWord = `token|secret|passw|passphrase|credential|cookie|authorization|private_?key|api_?key|access_?key|[_-]key\b|[_-]pwd\b|[_-]pat\b|[_-]dsn\b`

var secretName = regexp.MustCompile(`(?i)` + secretWord)

// IsSecretName reports whether a variable or field of this name has a secret
// value, as far as names tell.
func IsSecretName(name string) bool { return secretName.MatchString(name) }

// shape is what some kind of secret looks like within a line, and what takes its
// place. A line that has none of the words of needs, in lower case, is not
// looked at: that would take seconds for a long log.
type shape struct {
	needs []string
	re    *regexp.Regexp
	by    string
}

var secretWords = []string{"token", "secret", "passw", "passphrase", "credential", "cookie", "authorization", "key", "pwd", "pat", "dsn"}

// shapes are looked for in this order. Masking too much does no harm.
var shapes = []shape{
	// A header of a request or an answer, to the end of the line: its value may
	// have blanks and quotes.
	{
		[]string{"authorization", "cookie", "coder-session-token", "x-api-key"},
		regexp.MustCompile(`(?i)((?:proxy-)?authorization|(?:set-)?cookie|coder-session-token|x-api-key)(\\*["']?\s*[:=]).*`), "${1}${2} " + Masked,
	},
	{
		[]string{"bearer", "basic"},
		regexp.MustCompile(`(?i)\b(bearer|basic)\s+[a-z0-9+/._~=-]{8,}`), "${1} " + Masked,
	},
	{
		[]string{"code=", "state=", "sig=", "signature=", "key=", "auth=", "session"},
		regexp.MustCompile(`(?i)([?&](?:code|state|sig|signature|key|auth|[a-z0-9_.-]*session[a-z0-9_.-]*)=)[^&\s"'#]+`), "${1}" + Masked,
	},
	// A name and its value: NAME=value, "name": "value", name: 'value', also
	// within quotes; and flags with their values.
	{
		secretWords,
		regexp.MustCompile(`(?i)((?:` + secretWord + `)[a-z0-9_.-]*\\*["']?\s*[:=]\s*)(\\+"[^"]*"|"(?:[^"\\]|\\.)*"|'[^']*'|\S+)`), "${1}" + Masked,
	},
	{
		secretWords,
		regexp.MustCompile(`(?i)(--[a-z0-9-]*(?:` + secretWord + `)[a-z0-9-]*)\s+\S+`), "${1} " + Masked,
	},
	// Tokens of servers like ours, and well known ones of others.
	{
		[]string{"-"},
		regexp.MustCompile(`\b[A-Za-z0-9]{10}-[A-Za-z0-9]{22}\b`), Masked,
	},
	{
		[]string{"eyj"},
		regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), Masked,
	},
	{
		[]string{"gh", "glpat-", "xox", "sk-", "hf_", "dop_v1_", "akia", "asia"},
		regexp.MustCompile(`\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-|hf_|dop_v1_)[A-Za-z0-9_-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`), Masked,
	},
}

// mask masks what has the shape in a line.
func (s shape) mask(line, lower []byte) []byte {
	for _, word := range s.needs {
		if bytes.Contains(lower, []byte(word)) {
			return s.re.ReplaceAll(line, []byte(s.by))
		}
	}
	return line
}

// privateKey is one of several lines.
var privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`)

var anyURL = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s"'<>]+`)

// withoutUser masks the user and the password in a URL. A password may have
// slashes that nobody escaped: then what follows the first colon is no port.
func withoutUser(address []byte) []byte {
	scheme, rest, _ := bytes.Cut(address, []byte("://"))
	authority := rest
	if i := bytes.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	at := bytes.LastIndexByte(authority, '@')
	host := authority[bytes.IndexByte(authority, ']')+1:] // without the colons of an IPv6 address
	if _, port, ok := bytes.Cut(host, []byte(":")); ok && at < 0 {
		if _, err := strconv.ParseUint(string(port), 10, 16); err != nil {
			at = bytes.LastIndexByte(rest, '@')
		}
	}
	if at < 0 {
		return address
	}
	return slices.Concat(scheme, []byte("://"+Masked), rest[at:])
}

// Text masks the secrets in a text.
func (r *Redactor) Text(text []byte) []byte {
	for _, form := range r.forms {
		text = bytes.ReplaceAll(text, form, []byte(Masked))
	}
	text = privateKey.ReplaceAll(text, []byte(Masked))
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		out = append(out, maskShapes(line)...)
	}
	return out
}

func maskShapes(line []byte) []byte {
	lower := bytes.ToLower(line) // of the line as it was: masks add no needed word
	for _, s := range shapes {
		line = s.mask(line, lower)
	}
	if bytes.Contains(lower, []byte("://")) {
		line = anyURL.ReplaceAllFunc(line, withoutUser)
	}
	return line
}

// JSON masks the secrets in one JSON value and indents it. The value of a field
// with a secret name is masked whole. Fields come in the order of their names.
func (r *Redactor) JSON(raw []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(r.value(v))
	return out.Bytes(), err
}

func (r *Redactor) value(v any) any {
	switch v := v.(type) {
	case string:
		return string(r.Text([]byte(v)))
	case []any:
		for i := range v {
			v[i] = r.value(v[i])
		}
	case map[string]any:
		return r.object(v)
	}
	return v
}

func (r *Redactor) object(fields map[string]any) map[string]any {
	out := make(map[string]any, len(fields))
	for name, v := range fields {
		if s, ok := v.(string); ok && s != "" && IsSecretName(name) {
			v = Masked
		}
		out[string(r.Text([]byte(name)))] = r.value(v)
	}
	return out
}
