package sshconfig

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"
)

// TestReplaceKeepsRights has a configuration with rights that its directory does not
// give.
func TestReplaceKeepsRights(t *testing.T) {
	dir, err := os.MkdirTemp("", "sshconfig") // Wine 8 cannot remove that of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config")
	t.Cleanup(func() {
		if err := errors.Join(os.Remove(path), os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	usual := rights(t, path)
	const all = "D:P(A;;FA;;;WD)" // protected; everybody may do everything
	only, err := windows.SecurityDescriptorFromString(all)
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := only.DACL()
	if err != nil {
		t.Fatal(err)
	}
	if err := windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil); err != nil {
		t.Fatal(err)
	}
	before := rights(t, path)
	if before == usual {
		t.Fatalf("rights %s of a new file are those that were to be given", usual)
	}
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Replace([]byte("new\n")); err != nil {
		t.Fatal(err)
	}
	if got := rights(t, path); got != before {
		t.Errorf("rights after Replace = %s, want those of before, %s", got, before)
	}
}

func rights(t *testing.T, path string) string {
	t.Helper()
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		t.Fatal(err)
	}
	return sd.String()
}
