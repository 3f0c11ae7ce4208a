package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/mqedge/mqedge/configs"
)

// subject is what a check looks at.
type subject struct {
	config *configs.Config // nil: the host in general
	needs  needs
	host   *Host
}

// check is one question about a host.
type check struct {
	name string
	when func(subject) bool // whether there is anything to look at; nil: always
	find func(subject) []Finding
}

// checks are in the order in which findings of one severity are shown.
func checks() []check {
	configured := func(s subject) bool { return s.config != nil }
	asked := func(s subject) bool { return s.host.Endpoints != nil }
	return []check{
		{"addresses", configured, addresses},
		{"ports", configured, ports},
		{"endpoints", asked, endpoints},
		{"containers", func(s subject) bool { return s.host.Engine != nil }, containers},
		{"EMQX", nil, emqx},
		{"open files", nil, openFiles},
		{"source ports", configured, sourcePorts},
		{"queues", nil, queues},
		{"connection tracking", nil, tracking},
		{"memory", configured, memory},
		{"processors", nil, processors},
		{"files", configured, files},
		{"access log", configured, accessLog},
		{"kernel", nil, kernel},
	}
}

// Examine holds the facts against a configuration, which may be nil.
func Examine(c *configs.Config, h *Host) Report {
	r := Report{Findings: []Finding{}}
	s := subject{config: c, needs: newNeeds(c), host: h}
	for _, check := range checks() {
		if check.when != nil && !check.when(s) {
			continue
		}
		r.Checked = append(r.Checked, check.name)
		for _, f := range check.find(s) {
			f.Check = check.name
			// Lists, not null, in JSON.
			f.Details, f.Commands, f.Sysctls = some(f.Details), some(f.Commands), some(f.Sysctls)
			r.Findings = append(r.Findings, f)
		}
	}
	r.sort()
	return r
}

func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// grouped writes 28232 as 28,232.
func grouped[N int | uint64](n N) string {
	digits := strconv.FormatUint(uint64(n), 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// mebibytes writes bytes in the unit that suits them.
func mebibytes(n uint64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// plural is "1 port" or "2 ports".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return grouped(n) + " " + word + "s"
}

// dropIn writes lines into the [Service] section of mqedge's unit.
func dropIn(name, line string) []string {
	return []string{
		"mkdir -p /etc/systemd/system/mqedge.service.d",
		fmt.Sprintf(`printf '[Service]\n%s\n' > /etc/systemd/system/mqedge.service.d/doctor-%s.conf && systemctl daemon-reload`, line, name),
	}
}
