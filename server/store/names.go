package store

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Names end up in host names, SSH configurations, URLs and shells, so the
// store takes none that would need quoting there. Upper and lower case are
// kept but not told apart.
const (
	maxName      = 32 // users, workspaces, templates
	maxAgentName = 64
	maxTokenName = 64
	maxText      = 128 // display names and the like, in characters
	maxEmail     = 254 // RFC 5321
)

var (
	nameGrammar  = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
	agentGrammar = regexp.MustCompile(`^[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*$`)
)

// CheckUsername returns an *InvalidError for a name no user may have: letters,
// digits and single hyphens, at most 32; not "me", which stands for the
// caller, "new" or "create", which are pages, or something that parses as an
// id. The double hyphen separates the parts of app host names.
func CheckUsername(name string) error {
	if strings.EqualFold(name, "me") {
		return &InvalidError{Field: "username", Detail: `"me" is reserved`}
	}
	return checkName("username", name)
}

// CheckWorkspaceName is CheckUsername for a workspace, which may be called me.
func CheckWorkspaceName(name string) error { return checkName("name", name) }

// CheckAgentName returns an *InvalidError for a name no agent may have:
// letters, digits, underscores and single hyphens, at most 64.
func CheckAgentName(name string) error {
	if len(name) > maxAgentName || !agentGrammar.MatchString(name) {
		return &InvalidError{Field: "name", Detail: fmt.Sprintf(
			"must be 1 to %d letters, digits, underscores or single hyphens between them", maxAgentName)}
	}
	return nil
}

func checkName(field, name string) error {
	if len(name) > maxName || !nameGrammar.MatchString(name) {
		return &InvalidError{Field: field, Detail: fmt.Sprintf(
			"must be 1 to %d letters, digits or single hyphens between them", maxName)}
	}
	if lower := strings.ToLower(name); lower == "new" || lower == "create" {
		return &InvalidError{Field: field, Detail: fmt.Sprintf("%q is reserved", name)}
	}
	if uuid.Validate(name) == nil {
		return &InvalidError{Field: field, Detail: "must not look like an id"}
	}
	return nil
}

// checkEmail takes a bare address, as RFC 5322 writes it without comments.
func checkEmail(email string) error {
	addr, err := mail.ParseAddress(email)
	if err != nil || addr.Address != email || len(email) > maxEmail {
		return &InvalidError{Field: "email", Detail: "must be an e-mail address"}
	}
	return nil
}

// checkTokenName allows what fits a path segment; empty means no name.
func checkTokenName(name string) error {
	if len(name) > maxTokenName || strings.ContainsAny(name, "/?#%") {
		return &InvalidError{Field: "token_name", Detail: fmt.Sprintf(
			"must be at most %d characters without / ? # %%", maxTokenName)}
	}
	return checkText("token_name", name)
}

// checkText takes one printable line, for people to read.
func checkText(field, text string) error {
	if utf8.RuneCountInString(text) > maxText {
		return &InvalidError{Field: field, Detail: fmt.Sprintf("must be at most %d characters", maxText)}
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return &InvalidError{Field: field, Detail: "must not contain control characters"}
	}
	return nil
}

// plain drops the NUL bytes that PostgreSQL cannot keep in text; invalid UTF-8
// becomes U+FFFD on the way into a statement.
func plain(text string) string { return strings.ReplaceAll(text, "\x00", "") }
