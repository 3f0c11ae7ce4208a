package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// kernel looks at its age.
func kernel(s subject) []Finding {
	major, minor, ok := parseRelease(s.host.Release)
	if !ok || major > 5 || major == 5 && minor >= 4 {
		return nil
	}
	return []Finding{{
		Severity: Warning, What: fmt.Sprintf("Linux %s is older than 5.4, and mqedge is not tested with it", s.host.Release),
		Why: "Its defaults are smaller and faults of its TCP stack were mended later. Use a newer one.",
	}}
}

// parseRelease reads the first two numbers of "6.1.0-18-amd64".
func parseRelease(text string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(text, ".")
	second := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		second = rest[:end]
	}
	a, err := strconv.ParseUint(first, 10, 16)
	b, err2 := strconv.ParseUint(second, 10, 16)
	return int(a), int(b), err == nil && err2 == nil
}
