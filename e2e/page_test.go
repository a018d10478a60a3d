//go:build e2e && linux

package e2e

import "testing"

func settingsOfPage(t *testing.T) string { return "" }

func testPage(t *testing.T, b *behind) {}
