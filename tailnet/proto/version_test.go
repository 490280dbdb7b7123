package proto

import (
	"errors"
	"testing"
)

func TestCheckVersion(t *testing.T) {
	for version, served := range map[string]bool{
		"2.0": true, "2.11": true, "2.13": true,
		"2.14": false, "1.0": false, "3.0": false,
		"": false, "2": false, "2.": false, ".3": false, "2.-1": false, "2.0.0": false, "2.99999999999": false, "a.b": false,
	} {
		err := CheckVersion(version)
		if (err == nil) != served {
			t.Errorf("CheckVersion(%q) = %v, want served %v", version, err, served)
		}
		if err != nil && !errors.Is(err, ErrVersion) {
			t.Errorf("CheckVersion(%q) = %v, want an ErrVersion", version, err)
		}
	}
}
