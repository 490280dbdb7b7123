package main

import "testing"

func TestParseEditorHost(t *testing.T) {
	for host, want := range map[string]target{
		"coder-vscode.example.com--ann--dev":      {"ann", "dev", ""},
		"coder-vscode.example.com--ann--dev.main": {"ann", "dev", "main"},
		"coder-vscode.xn--bcher-kva.de--ann--dev": {"ann", "dev", ""},
		"coder-vscode--ann--dev":                  {"ann", "dev", ""},
		"coder-vscode.example.com--dev":           {},
		"other.example.com--ann--dev":             {},
		"coder-vscode.example.com--ann--dev.":     {},
		"coder-vscode.example.com--ann--dev.a.b":  {},
		"coder-vscode.example.com--ann--":         {},
		"coder-vscode.example.com----dev":         {},
		"coder-vscode.x--ann--de v":               {},
		"":                                        {},
	} {
		if got, err := parseEditorHost(host); got != want || (err == nil) != (want != target{}) {
			t.Errorf("parseEditorHost(%q) = %+v, %v, want %+v", host, got, err, want)
		}
	}
}

func FuzzParseEditorHost(f *testing.F) {
	f.Add("coder-vscode.example.com--ann--dev.main")
	f.Fuzz(func(t *testing.T, host string) {
		if got, err := parseEditorHost(host); err == nil && !got.valid() {
			t.Errorf("parseEditorHost(%q) = %+v, which is no name", host, got)
		}
	})
}
