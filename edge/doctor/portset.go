package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// span is a range of ports, both ends included.
type span struct{ low, high int }

func (s span) has(port int) bool { return s.low <= port && port <= s.high }

func (s span) size() int { return s.high - s.low + 1 }

func (s span) String() string { return fmt.Sprintf("%d to %d", s.low, s.high) }

// parseRange reads net.ipv4.ip_local_port_range.
func parseRange(text string) (span, bool) {
	words := strings.Fields(text)
	if len(words) != 2 {
		return span{}, false
	}
	low, err := strconv.ParseUint(words[0], 10, 16)
	high, err2 := strconv.ParseUint(words[1], 10, 16)
	if err != nil || err2 != nil || low > high {
		return span{}, false
	}
	return span{int(low), int(high)}, true
}

// portSet is a set of ports as net.ipv4.ip_local_reserved_ports has it, in order
// and without overlaps.
type portSet []span

// parsePorts reads "8080,9100-9110". What is not a port is left out.
func parsePorts(text string) portSet {
	var s portSet
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		low, err := strconv.ParseUint(first, 10, 16)
		high, err2 := strconv.ParseUint(last, 10, 16)
		if err == nil && err2 == nil && low <= high {
			s = append(s, span{int(low), int(high)})
		}
	}
	return s.normal()
}

func (s portSet) normal() portSet {
	slices.SortFunc(s, func(a, b span) int { return a.low - b.low })
	var out portSet
	for _, r := range s {
		if n := len(out); n > 0 && r.low <= out[n-1].high+1 {
			out[n-1].high = max(out[n-1].high, r.high)
			continue
		}
		out = append(out, r)
	}
	return out
}

func (s portSet) has(port int) bool {
	return slices.ContainsFunc(s, func(r span) bool { return r.has(port) })
}

// with returns the set and these ports.
func (s portSet) with(ports ...int) portSet {
	out := slices.Clone(s)
	for _, p := range ports {
		out = append(out, span{p, p})
	}
	return out.normal()
}

// within returns how many of the set are in r.
func (s portSet) within(r span) int {
	n := 0
	for _, part := range s {
		n += max(min(part.high, r.high)-max(part.low, r.low)+1, 0)
	}
	return n
}

func (s portSet) String() string {
	words := make([]string, len(s))
	for i, r := range s {
		words[i] = strconv.Itoa(r.low)
		if r.high > r.low {
			words[i] += "-" + strconv.Itoa(r.high)
		}
	}
	return strings.Join(words, ",")
}
