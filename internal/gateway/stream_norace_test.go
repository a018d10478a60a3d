//go:build !race

package gateway

// streamMiB is how much goes through the gateway in each test of streaming.
const streamMiB = 512
