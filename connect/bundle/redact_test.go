package bundle

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestTextMasksWhatLooksSecret(t *testing.T) {
	for in, want := range map[string]string{
		"nothing here, the token expired: 401":                                      "nothing here, the token expired: 401",
		"GET https://host/api/v2/buildinfo 200":                                     "GET https://host/api/v2/buildinfo 200",
		"open http://127.0.0.1:7080/@me/dev/terminal":                               "open http://127.0.0.1:7080/@me/dev/terminal",
		"see http://[::1]:7080/@me and http://[::1]/@me":                            "see http://[::1]:7080/@me and http://[::1]/@me",
		"git clone https://ann:pa55@git.example.com/x.git":                          "git clone https://[masked]@git.example.com/x.git",
		"git clone https://ann:pa/5@5@git.example.com/x.git":                        "git clone https://[masked]@git.example.com/x.git",
		"proxy http://t0ken@proxy:3128":                                             "proxy http://[masked]@proxy:3128",
		"postgres://u:p@[::1]:5432/db":                                              "postgres://[masked]@[::1]:5432/db",
		"> Authorization: Digest username=\"a b\", x=\"y\"":                         "> Authorization: [masked]",
		`header="Authorization: Basic dXNlcjpwYXNz" next`:                           `header="Authorization: [masked]`,
		"-H 'authorization: token x' b\nnext":                                       "-H 'authorization: [masked]\nnext",
		"Set-Cookie: coder_session_token=abc; Path=/":                               "Set-Cookie: [masked]",
		"with Bearer abcdef123456.":                                                 "with Bearer [masked]",
		"GET /callback?code=abc&state=d#e":                                          "GET /callback?code=[masked]&state=[masked]#e",
		"export DB_PASSWORD=hunter2&x":                                              "export DB_PASSWORD=[masked]",
		`{"api_key":"a\"b","next":1}`:                                               `{"api_key":[masked],"next":1}`,
		`err="bad token: \"abc def\" there"`:                                        `err="bad token: [masked] there"`,
		"secret: 'a b' c":                                                           "secret: [masked] c",
		"run --access-token abc --retries 3":                                        "run --access-token [masked] --retries 3",
		"AWS_SECRET_ACCESS_KEY=abc AKIAABCDEFGHIJKLMNOP":                            "AWS_SECRET_ACCESS_KEY=[masked] [masked]",
		"session aaaaaaaaaa-bbbbbbbbbbbbbbbbbbbbbb ended":                           "session [masked] ended",
		"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end":                         "jwt [masked] end",
		"ghp_0123456789abcdefghij and glpat-0123456789abcdef":                       "[masked] and [masked]",
		"a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb": "a\n[masked]\nb",
		"a\n-----BEGIN PRIVATE KEY-----\nMII":                                       "a\n[masked]",
	} {
		if got := string(new(Redactor).Text([]byte(in))); got != want {
			t.Errorf("Text(%q)\n= %q, want\n  %q", in, got, want)
		}
	}
}

func TestKnownSecretsAreMaskedInEveryForm(t *testing.T) {
	const secret = "pa\"ss <wörd>/é&+%\\1"
	var r Redactor
	r.Know(secret)
	r.Know("short")
	r.Know("first line of a value\nsecond line of a value\nthird")
	inJSON, _ := json.Marshal(secret)
	for _, text := range []string{
		"plain " + secret + " end", string(inJSON), "?p=pa%22ss+%3Cw%C3%B6rd%3E%2F%C3%A9%26%2B%25%5C1", "cGEic3MgPHfDtnJkPi/DqSYrJVwx",
		"log: second line of a value",
	} {
		if got := string(r.Text([]byte(text))); !strings.Contains(got, Masked) || strings.Contains(got, "ss") || strings.Contains(got, "line") {
			t.Errorf("Text(%q) = %q, want it masked", text, got)
		}
	}
	if got := string(r.Text([]byte("in short, third"))); got != "in short, third" {
		t.Errorf("Text of short words = %q", got)
	}
}

func TestJSONStaysJSON(t *testing.T) {
	var r Redactor
	r.Know("planted-value")
	raw, err := r.JSON([]byte(`{"DB_PASSWORD": "x", "planted-value": [true, null, 1e3, {"a": "of planted-value"}], "secrets": [{"value": "y"}], "note": "Authorization: b\"c", "empty_token": ""}`))
	want := `{
  "DB_PASSWORD": "[masked]",
  "[masked]": [
    true,
    null,
    1e3,
    {
      "a": "of [masked]"
    }
  ],
  "empty_token": "",
  "note": "Authorization: [masked]",
  "secrets": [
    {
      "value": "y"
    }
  ]
}
`
	if err != nil || string(raw) != want {
		t.Errorf("JSON = %s, %v, want\n%s", raw, err, want)
	}
	if _, err := r.JSON([]byte("no JSON")); err == nil {
		t.Error("JSON of what is none = nil, want an error")
	}
}

func FuzzNothingKnownIsLeft(f *testing.F) {
	f.Add("a ", "planted-value", " b")
	f.Add("token=", "päß\"wörd\\", "&x")
	f.Add("https://u:", "p@a/b:c", "@h/x@y")
	f.Add("Authorization: Basic ", "abcdef==", "\n")
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		secret = strings.TrimSpace(secret)
		if len(secret) < minSecret || strings.ContainsAny(secret, "[]") || strings.Contains(Masked, secret) {
			return // the mask itself may make it
		}
		var r Redactor
		r.Know(secret)
		if got := r.Text([]byte(before + secret + after)); bytes.Contains(got, []byte(secret)) {
			t.Errorf("Text(%q + %q + %q) = %q", before, secret, after, got)
		}
		in, err := json.Marshal(map[string]string{before: secret, secret: after})
		if err != nil {
			t.Fatal(err)
		}
		out, err := r.JSON(in)
		if err != nil || !json.Valid(out) {
			t.Errorf("JSON(%s) = %s, %v", in, out, err)
		}
	})
}
