//go:build e2e && linux

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestBench runs the benchmark for a moment: that it works, not how fast it is.
func TestBench(t *testing.T) {
	cmd := exec.Command("go", "run", "./bench", "-binary", program(t), "-rounds", "1", "-length", "200ms", "-tokens", "2000", "-used", "100", "-scratch", t.TempDir())
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go run ./bench: %v\n%s", err, out)
	}
	for text, times := range map[string]int{"== sqlite": 1, "== postgres": 1, "= latchkey / bare:": 6, "= latchkey / one row committed": 4, "= latchkey / bare reverse proxy": 1, "= under a flood / alone": 2} {
		if got := strings.Count(string(out), text); got != times {
			t.Errorf("the report has %q %d times, want %d:\n%s", text, got, times, out)
		}
	}
}
