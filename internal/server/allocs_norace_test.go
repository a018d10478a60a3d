//go:build !race

package server_test

import "testing"

// One for each of: the id; all that is kept of the request; the request with
// its context; the values of the identity's headers.
func TestVerifyAllocations(t *testing.T) {
	once := verifyOnce(t)
	once()
	if got := testing.AllocsPerRun(100, once); got > 4 {
		t.Errorf("a check takes %v allocations before net/http, want at most 4", got)
	}
}
