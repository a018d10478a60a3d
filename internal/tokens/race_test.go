//go:build race

package tokens_test

// raceEnabled makes long tests shorter where everything is slow.
const raceEnabled = true
