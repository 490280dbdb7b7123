package sshconfig

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// keepRights gives f the access control list of the file at path: rights that
// somebody set there are kept, those that come from the directory come from it again.
func keepRights(f *os.File, path string, _ fs.FileInfo) error {
	had, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("read the rights of %s: %w", path, err)
	}
	list, _, err := had.DACL()
	if err != nil {
		return fmt.Errorf("read the rights of %s: %w", path, err)
	}
	what := windows.SECURITY_INFORMATION(windows.DACL_SECURITY_INFORMATION | windows.UNPROTECTED_DACL_SECURITY_INFORMATION)
	if control, _, err := had.Control(); err == nil && control&windows.SE_DACL_PROTECTED != 0 {
		what = windows.DACL_SECURITY_INFORMATION | windows.PROTECTED_DACL_SECURITY_INFORMATION
	}
	if err := windows.SetNamedSecurityInfo(f.Name(), windows.SE_FILE_OBJECT, what, nil, nil, list, nil); err != nil {
		return fmt.Errorf("give %s the rights of %s: %w", f.Name(), path, err)
	}
	return nil
}

// syncDir does nothing: Windows syncs no directories.
func syncDir(string) error { return nil }
