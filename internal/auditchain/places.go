package auditchain

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// maxMembers bounds the events of one seal.
const maxMembers = 1000

var errMembers = errors.New("the list of places cannot be read")

// formatPlaces writes rising places as ranges: "3-7,9".
func formatPlaces(places []int64) string {
	var b strings.Builder
	for i := 0; i < len(places); {
		j := i
		for j+1 < len(places) && places[j+1] == places[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(places[i], 10))
		if j > i {
			b.WriteString("-" + strconv.FormatInt(places[j], 10))
		}
		i = j + 1
	}
	return b.String()
}

// parseRanges reads what formatPlaces wrote: positive places that rise, no more
// of them than a seal can have.
func parseRanges(text string) ([][2]int64, error) {
	var ranges [][2]int64
	last, total := int64(0), int64(0)
	for part := range strings.SplitSeq(text, ",") {
		from, to, more := strings.Cut(part, "-")
		if !more {
			to = from
		}
		a, errA := strconv.ParseInt(from, 10, 64)
		b, errB := strconv.ParseInt(to, 10, 64)
		if errA != nil || errB != nil || a <= last || b < a || b-a >= maxMembers || b == math.MaxInt64 {
			return nil, errMembers
		}
		if last, total = b, total+b-a+1; total > maxMembers {
			return nil, errMembers
		}
		ranges = append(ranges, [2]int64{a, b})
	}
	return ranges, nil
}

// parsePlaces is parseRanges, place by place.
func parsePlaces(text string) ([]int64, error) {
	ranges, err := parseRanges(text)
	if err != nil {
		return nil, err
	}
	var places []int64
	for _, r := range ranges {
		for p := r[0]; p <= r[1]; p++ {
			places = append(places, p)
		}
	}
	return places, nil
}
