package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/berthdev/berth/server/store"
)

func TestKeyRoundTrip(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		k := NewKey()
		text := k.Token().Reveal()
		got, err := ParseKey(text)
		if err != nil || got != k {
			t.Fatalf("ParseKey(%q) = %q, %q, %v; want what was made", text, got.ID, got.Secret.Reveal(), err)
		}
		if seen[k.ID] || seen[k.Secret.Reveal()] {
			t.Fatalf("NewKey made %q twice", text)
		}
		seen[k.ID], seen[k.Secret.Reveal()] = true, true
	}
}

func TestRandomTextUsesAllCharacters(t *testing.T) {
	count := map[rune]int{}
	const n = 62_000
	for _, r := range randomText(n) {
		count[r]++
	}
	for _, r := range alphanumeric {
		// The mean is 1000, the deviation 31: seven of them on either side.
		if c := count[r]; c < 780 || c > 1220 {
			t.Errorf("%q drawn %d times of %d, want about 1000", r, c, n)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	const good = "abcdefghij-ABCDEFGHIJ0123456789ab"
	if _, err := ParseKey(good); err != nil {
		t.Fatalf("ParseKey(%q) = %v", good, err)
	}
	for _, text := range []string{
		"", "-", good + "c", good[:len(good)-1], "a" + good, good[1:], strings.Replace(good, "-", "_", 1),
		strings.Replace(good, "-", "--", 1), " " + good[1:], good[:len(good)-1] + "-", good[:len(good)-1] + "\x00",
		"abcdefghié-ABCDEFGHIJ0123456789ab", "%bcdefghij-ABCDEFGHIJ0123456789ab",
	} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("ParseKey(%q) succeeded", text)
		}
	}
}

func TestParseAgentToken(t *testing.T) {
	token := NewAgentToken()
	got, err := ParseAgentToken(strings.ToUpper(token.Reveal()))
	if err != nil || got != token {
		t.Errorf("ParseAgentToken(upper case) = %v, want the token", err)
	}
	plain := strings.ReplaceAll(token.Reveal(), "-", "")
	for _, text := range []string{"", plain, "{" + token.Reveal() + "}", "urn:uuid:" + token.Reveal(), token.Reveal()[1:], token.Reveal() + "\n"} {
		if _, err := ParseAgentToken(text); err == nil {
			t.Errorf("ParseAgentToken(%q) succeeded", text)
		}
	}
}

// Security rule 3: a token never reaches a log, an error or an answer, because
// its type does not format.
func TestSecretDoesNotFormat(t *testing.T) {
	s := store.NewSecret("hunter2")
	holder := struct {
		S Secret
		P *Secret
		L []Secret
	}{s, &s, []Secret{s}}
	var out strings.Builder
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		fmt.Fprintf(&out, format+"\n", s)
		fmt.Fprintf(&out, format+"\n", &s)
		fmt.Fprintf(&out, format+"\n", holder)
		fmt.Fprintf(&out, format+"\n", Key{ID: "id", Secret: s})
	}
	text, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "s", s, "holder", holder)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "s", s, "holder", holder)
	fmt.Fprintln(&out, fmt.Sprint(s), fmt.Errorf("e: %v", s), string(text), log.String())
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2")} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is in\n%s", leak, out.String())
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("abcdefghij-ABCDEFGHIJ0123456789ab")
	f.Add("-")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err == nil && k.Token().Reveal() != text {
			t.Errorf("ParseKey(%q).Token() = %q", text, k.Token().Reveal())
		}
		if err != nil && len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("ParseKey(%q) repeats it: %v", text, err)
		}
	})
}

func FuzzParseAgentToken(f *testing.F) {
	f.Add("6b0a9df6-3a2c-4c53-9c57-62796f000001")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseAgentToken(text); err == nil && s.Reveal() != strings.ToLower(text) {
			t.Errorf("ParseAgentToken(%q) = %q", text, s.Reveal())
		}
	})
}
