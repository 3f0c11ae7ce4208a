package nginx

import (
	"regexp"
	"strconv"
	"time"

	"github.com/mqedge/mqedge/configs/convert"
)

var timePart = regexp.MustCompile(`^(\d{1,12})(ms|[smhdwMy]?) *`)

// parseTime reads a time as nginx writes it: numbers with units, seconds without one.
func parseTime(text string) (time.Duration, bool) {
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
		"w": 7 * 24 * time.Hour, "M": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
	}
	const most = 10 * 365 * 24 * time.Hour
	var sum time.Duration
	if text == "" {
		return 0, false
	}
	for text != "" {
		m := timePart.FindStringSubmatch(text)
		if m == nil {
			return 0, false
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		unit := units[m[2]]
		if time.Duration(n) > most/unit {
			return 0, false
		}
		if sum += time.Duration(n) * unit; sum > most {
			return 0, false
		}
		text = text[len(m[0]):]
	}
	return sum, true
}

// duration returns the time a directive says, and whether it says one. mqedge has no use for none at all.
func (im *importer) duration(d *directive, name string, normal time.Duration) (time.Duration, *directive) {
	text, found := im.word(d, name)
	if found == nil || text == "" {
		return normal, nil
	}
	value, ok := parseTime(text)
	if !ok || value <= 0 {
		im.add(found, "%s is not a time that mqedge can take: nginx's default, %s, is written instead", convert.Shown(text), normal)
		return normal, nil
	}
	return value, found
}
