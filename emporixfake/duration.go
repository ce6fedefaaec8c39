package emporixfake

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var days = regexp.MustCompile(`^(\d{1,6})d`)

// ParseDuration is [time.ParseDuration] with days, such as "31d" or "1d12h": a day
// is 24 hours. The control interface and the flags of the command take such values.
func ParseDuration(value string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration such as 90s, 2h or 31d", cutTo(value, 64))
	rest, negative := strings.CutPrefix(value, "-")
	var d time.Duration
	if match := days.FindStringSubmatch(rest); match != nil {
		count, err := strconv.Atoi(match[1])
		if err != nil || count > int(math.MaxInt64/(24*time.Hour)) {
			return 0, wrong
		}
		d, rest = time.Duration(count)*24*time.Hour, rest[len(match[0]):]
	}
	if rest != "" {
		part, err := time.ParseDuration(rest)
		if err != nil || d > 0 && strings.ContainsAny(rest[:1], "+-") || part > math.MaxInt64-d {
			return 0, wrong
		}
		d += part
	} else if d == 0 && !strings.HasSuffix(value, "d") {
		return 0, wrong
	}
	if negative {
		d = -d
	}
	return d, nil
}
