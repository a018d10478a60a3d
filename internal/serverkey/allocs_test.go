//go:build !race

package serverkey

import "testing"

// The race detector makes pools forget at random, so that this holds only
// without it.
func TestDigestDoesNotAllocate(t *testing.T) {
	k := newKey(t, "a")
	text := "lkp_0123456789abcdefghijklmnopqrstuvwxyz"
	var sum [32]byte
	if n := testing.AllocsPerRun(1000, func() { sum = k.Digest(text) }); n != 0 {
		t.Errorf("Digest() allocates %v times, want 0", n)
	}
	if sum == ([32]byte{}) {
		t.Error("Digest() = 0, want a digest")
	}
}
