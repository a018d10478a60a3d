//go:build race

package gateway

// streamMiB is smaller than without the race detector, which slows copying.
const streamMiB = 128
