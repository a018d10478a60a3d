//go:build !linux

package doctor

import "io/fs"

// synchronized knows nothing on this system.
func synchronized() (known, is bool) { return false, false }

// diskOf knows nothing on this system.
func diskOf(string) (disk, bool) { return disk{}, false }

// ownerIn knows nothing on this system.
func ownerIn(fs.FileInfo) string { return "" }
