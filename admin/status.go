package admin

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const defaultWidth = 80

// Render writes s as plain text for a screen of the given width; 0 means 80 columns. It writes no colour and no
// control characters, whatever the names and reasons hold.
func Render(w io.Writer, s Status, width int) error {
	if width <= 0 {
		width = defaultWidth
	}
	p := page{width: width}
	p.heading(s)
	p.listeners(s.Listeners)
	for _, u := range s.Upstreams {
		p.upstream(u)
	}
	p.announcements(s.Announced)
	p.members(s.Members, s.Time)
	p.certificates(s.Certificates, s.Time)
	_, err := io.WriteString(w, p.text.String())
	return err
}

func (p *page) heading(s Status) {
	state := "ready"
	if !s.Ready {
		state = "NOT READY: " + s.Reason
	}
	name := "mqedge " + s.Version.Version
	if s.Version.Commit != "" {
		name += " (" + s.Version.Commit[:min(len(s.Version.Commit), 12)] + ")"
	}
	p.line(0, fmt.Sprintf("%s, up %s, %s", name, age(s.Time.Sub(s.Version.Started)), state))
}

func (p *page) listeners(listeners []Listener) {
	if len(listeners) == 0 {
		return
	}
	rows := []row{{cells: []string{"LISTENER", "ADDRESS", "PROTOCOL", ">ACTIVE", ">ACCEPTED", ">REFUSED"}}}
	for _, l := range listeners {
		protocol := l.Protocol
		if l.TLS {
			protocol += "+tls"
		}
		address, more := first(l.Addresses)
		if more != "" {
			more = "also on " + more
		}
		refused, why := tally(l.Refused)
		last := l.LastRefusal
		if last != "" {
			last = "the last one: " + last
		}
		rows = append(rows, row{
			cells: []string{
				l.Name, address, protocol, strconv.FormatInt(l.Active, 10), strconv.FormatUint(l.Accepted, 10),
				strconv.FormatUint(refused, 10),
			},
			note: sentence(more, waiting(l.Waiting), why, last),
		})
	}
	p.table(rows)
}

// waiting says how many connections wait for their turn.
func waiting(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d wait for their turn", n)
}

func (p *page) upstream(u Upstream) {
	rows := []row{{cells: []string{"UPSTREAM " + u.Name, "STATE", ">WEIGHT", ">ACTIVE", ">CONNECTS", ">FAILURES"}}}
	for _, e := range u.Endpoints {
		rows = append(rows, row{
			cells: []string{
				e.Address, state(e), strconv.FormatUint(uint64(e.Weight), 10), strconv.FormatInt(e.Connections, 10),
				strconv.FormatUint(e.Connects, 10), strconv.FormatUint(e.Failures, 10),
			},
			note: sentence(inContainer(e), e.Reason, slowness(e), provider(e.Provider)),
		})
	}
	if len(u.Endpoints) == 0 {
		rows[0].note = "no endpoints yet"
	}
	p.table(rows)
	if u.ExHook != nil {
		p.exhook(u.ExHook)
	}
}

// exhook shows the EMQX nodes that call, and what they were told wrongly.
func (p *page) exhook(x *ExHook) {
	rows := []row{{cells: []string{"EMQX NODE", "VERSION", "PROTOCOL", ">CALLS"}}}
	drift := make(map[string]string)
	for _, d := range x.Drift {
		drift[d.Node] = sentence(
			listed("does not call, until its exhook is disabled and enabled: ", d.Unknown),
			listed("calls what no provider wants: ", d.Unserved))
	}
	for _, n := range x.Nodes {
		rows = append(rows, row{cells: []string{n.Name, n.Version, n.Protocol, strconv.FormatUint(n.Calls, 10)}, note: drift[n.Name]})
	}
	if len(x.Nodes) == 0 {
		rows[0].note = "no EMQX node has called yet"
	}
	p.table(rows)
}

func listed(what string, items []string) string {
	if len(items) == 0 {
		return ""
	}
	return what + strings.Join(items, ", ")
}

// provider says what an endpoint of gRPC calls has to do with.
func provider(v *Provider) string {
	if v == nil {
		return ""
	}
	loaded := ""
	if len(v.Nodes) > 0 {
		loaded = "loaded for " + strings.Join(v.Nodes, ", ")
	}
	took := ""
	if v.Calls > 0 {
		took = fmt.Sprintf("answers after %.1f ms", 1000*v.Seconds)
	}
	return sentence(loaded, listed("hooks: ", v.Hooks), took)
}

func (p *page) certificates(certificates []Certificate, now time.Time) {
	if len(certificates) == 0 {
		return
	}
	rows := []row{{cells: []string{"CERTIFICATE", "FOR", ">EXPIRES"}}}
	for _, c := range certificates {
		name, more := first(c.Names)
		if more != "" {
			name += fmt.Sprintf(" +%d", len(c.Names)-1)
		}
		problem := c.Error
		if problem != "" {
			problem = "ERROR: " + problem
		}
		rows = append(rows, row{cells: []string{c.File, name, expiry(c.NotAfter, now)}, note: problem})
	}
	p.table(rows)
}

func state(e Endpoint) string {
	switch {
	case e.Draining:
		return "draining"
	case e.Ejected:
		return "ejected"
	case !e.Up:
		return "down"
	}
	return "up"
}

// slow is from how many seconds on the time that an endpoint takes for its answers is worth a note.
const slow = 0.5

func inContainer(e Endpoint) string {
	if e.Container == "" {
		return ""
	}
	return "container " + e.Container
}

func slowness(e Endpoint) string {
	if e.AnswerSeconds < slow {
		return ""
	}
	return fmt.Sprintf("answers after %.1fs", e.AnswerSeconds)
}

func first(all []string) (one, others string) {
	if len(all) == 0 {
		return "-", ""
	}
	return all[0], strings.Join(all[1:], ", ")
}

// tally gives the sum and, the largest first, what it is made of.
func tally(byReason map[string]uint64) (sum uint64, text string) {
	reasons := slices.SortedFunc(maps.Keys(byReason), func(a, b string) int {
		return cmp.Or(cmp.Compare(byReason[b], byReason[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, reason := range reasons {
		if n := byReason[reason]; n > 0 {
			sum += n
			parts = append(parts, fmt.Sprintf("%s %d", reason, n))
		}
	}
	if len(parts) == 0 {
		return 0, ""
	}
	return sum, "refused: " + strings.Join(parts, ", ")
}

func sentence(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

func expiry(notAfter, now time.Time) string {
	if notAfter.IsZero() {
		return "-"
	}
	left := notAfter.Sub(now)
	switch {
	case left <= 0:
		return "EXPIRED " + age(-left) + " ago"
	case left < 48*time.Hour:
		return "in " + age(left)
	}
	return fmt.Sprintf("in %d days", int(left.Hours()/24))
}

// age prints the two largest units.
func age(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	days, hours, minutes, seconds := d/(24*time.Hour), d/time.Hour%24, d/time.Minute%60, d/time.Second%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}
