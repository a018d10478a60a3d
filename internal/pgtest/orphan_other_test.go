//go:build !linux

package pgtest_test

const orphanVariable = "PGTEST_ORPHAN"

func orphanMain() int { return 1 }
