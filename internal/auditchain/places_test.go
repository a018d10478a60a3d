package auditchain

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlaces(t *testing.T) {
	for _, tt := range []struct {
		places []int64
		text   string
	}{
		{[]int64{1}, "1"},
		{[]int64{1, 2, 3}, "1-3"},
		{[]int64{1, 3, 4, 9}, "1,3-4,9"},
		{[]int64{math.MaxInt64 - 2, math.MaxInt64 - 1}, "9223372036854775805-9223372036854775806"},
	} {
		if got := formatPlaces(tt.places); got != tt.text {
			t.Errorf("formatPlaces(%v) = %q, want %q", tt.places, got, tt.text)
		}
		if got, err := parsePlaces(tt.text); err != nil || !cmp.Equal(got, tt.places) {
			t.Errorf("parsePlaces(%q) = %v, %v, want %v", tt.text, got, err, tt.places)
		}
	}
	for _, text := range []string{"", ",", "0", "-1", "2-1", "1,1", "2,1", "1-2,2", "x", "1-", "1-1001", "1-600,700-1200", "1 ", "+", "99999999999999999999", "9223372036854775807", "9223372036854775806-9223372036854775807"} {
		if got, err := parsePlaces(text); !errors.Is(err, errMembers) {
			t.Errorf("parsePlaces(%q) = %v, %v, want %v", text, got, err, errMembers)
		}
	}
}

// FuzzPlaces checks that what is read is bounded and is written as it was.
func FuzzPlaces(f *testing.F) {
	for _, seed := range []string{"1", "1-3,7", "1-1000", "", "9223372036854775806-9223372036854775807"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		places, err := parsePlaces(text)
		if err != nil {
			return
		}
		if len(places) == 0 || len(places) > maxMembers {
			t.Fatalf("parsePlaces(%q) = %d places", text, len(places))
		}
		again, err := parsePlaces(formatPlaces(places))
		if err != nil || !cmp.Equal(again, places) {
			t.Errorf("parsePlaces(%q) = %v, and then %v, %v", text, places, again, err)
		}
	})
}
