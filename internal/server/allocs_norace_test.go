//go:build !race

package server_test

import "testing"

// One for each of: the id, the values of headers, the context, the request
// with it, the noted status, the values of the identity's headers.
func TestVerifyAllocations(t *testing.T) {
	once := verifyOnce(t)
	once()
	if got := testing.AllocsPerRun(100, once); got > 6 {
		t.Errorf("a check takes %v allocations before net/http, want at most 6", got)
	}
}
