package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Time reads the forms in which servers write a moment: ISO 8601 with or without
// seconds, fraction, zone and time of day, and seconds or milliseconds since
// 1970 as a number or a string. A moment without a zone is in UTC.
type Time struct{ time.Time }

// UnmarshalJSON never fails: what it can't read changes nothing.
func (t *Time) UnmarshalJSON(data []byte) error {
	var read time.Time
	if read.UnmarshalJSON(data) == nil { // RFC 3339, or null
		if !read.IsZero() {
			t.Time = read
		}
		return nil
	}
	if text, ok := stringOf(data); ok {
		read = parseTime(strings.TrimSpace(text))
	}
	if read.IsZero() {
		if number, ok := numberOf(data); ok {
			read = sinceEpoch(number)
		}
	}
	if !read.IsZero() {
		t.Time = read
	}
	return nil
}

// The layouts take a fraction of a second wherever they have seconds.
var (
	dayLayouts   = []string{"2006-01-02", "20060102"}
	clockLayouts = []string{"15:04:05", "15:04", "15", "150405", "1504"}
	zoneLayouts  = []string{"Z07:00", "Z0700", "Z07", ""}
)

func parseTime(text string) time.Time {
	// Java's ZonedDateTime names the zone as well: …+01:00[Europe/Berlin].
	text, _, _ = strings.Cut(strings.ToUpper(text), "[")
	day, clock, hasClock := cutAny(text, "T ")
	clock = strings.ReplaceAll(strings.TrimSpace(clock), " ", "")
	for _, dayLayout := range dayLayouts {
		if !hasClock {
			if parsed, err := time.Parse(dayLayout, day); err == nil {
				return parsed
			}
			continue
		}
		for _, clockLayout := range clockLayouts {
			for _, zone := range zoneLayouts {
				if parsed, err := time.Parse(dayLayout+"T"+clockLayout+zone, day+"T"+clock); err == nil {
					return parsed
				}
			}
		}
	}
	return time.Time{}
}

// cutAny is strings.Cut at the first of the separators.
func cutAny(s, separators string) (before, after string, found bool) {
	at := strings.IndexAny(s, separators)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+1:], true
}

// sinceEpoch takes numbers from 1e11 on for milliseconds: as seconds they would
// be beyond the year 5000.
func sinceEpoch(number string) time.Time {
	const asMilliseconds, limit = 1e11, 253402300800e3 // the year 10000
	n, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || n <= 0 || n >= limit:
		return time.Time{}
	case n >= asMilliseconds:
		return time.UnixMilli(int64(n)).UTC()
	}
	whole, fraction := math.Modf(n)
	return time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000).UTC()
}

var _ json.Unmarshaler = (*Time)(nil)
