package tokens

import (
	"testing"
	"unsafe"

	"github.com/latchkey-auth/latchkey/internal/identity"
)

// A check waits for memory more than for anything else when many tokens are in
// use. What it looks at lies in one cache line of an entry, whose size is
// one that the allocator gives out on the boundaries of lines, and in the first
// bytes of an identity.
func TestLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("addresses have another size here")
	}
	const line = 64
	var e entry
	if end := unsafe.Offsetof(e.id) + unsafe.Sizeof(e.id); end > line {
		t.Errorf("what every check looks at ends at byte %d of an entry, want at most %d", end, line)
	}
	if size := unsafe.Sizeof(e); size > 192 || size <= 176 {
		t.Errorf("an entry has %d bytes, want one of the size class of 192", size)
	}
	var id identity.Identity
	if end := unsafe.Offsetof(id.Stale) + unsafe.Sizeof(id.Stale); end > 2*line {
		t.Errorf("what every answer needs ends at byte %d of an identity, want at most %d", end, 2*line)
	}
}
