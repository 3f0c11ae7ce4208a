package doctor

import (
	"fmt"
	"math/bits"
	"strconv"
)

const (
	filesEach  = 2   // of a connection: the client's and the endpoint's
	filesSpare = 256 // certificates, logs, the admin address, checks

	fewFiles  = 16384   // below this a limit was not set for a server
	goodFiles = 1 << 20 // what is advised at least
)

// openFiles looks at the limit on open files.
func openFiles(s subject) []Finding {
	hard := s.host.OpenFiles.Hard
	if hard == 0 {
		return nil
	}
	whose := "the hard limit here"
	if pid := s.host.OpenFiles.PID; pid != 0 {
		whose = fmt.Sprintf("the limit of the running mqedge (pid %d)", pid)
	}
	room := (hard - min(hard, filesSpare)) / filesEach
	needed := uint64(fewFiles)
	why := fmt.Sprintf("Each connection takes two, so that there is room for %s.", grouped(room))
	if s.needs.most > 0 {
		needed = uint64(s.needs.most)*filesEach + filesSpare
		why = fmt.Sprintf("The configuration lets in %s connections, and each takes two. When they run out, clients wait in the kernel's queue.", grouped(s.needs.most))
	}
	var out []Finding
	want := max(goodFiles, uint64(1)<<bits.Len64(needed-1))
	switch {
	case hard < needed:
		f := Finding{
			Severity: Warning, What: fmt.Sprintf("%s open files are too few: %s, where %s are needed", grouped(hard), whose, grouped(needed)),
			Why:      why + " A service has the limit of its unit or container, not the one of this shell.",
			Commands: append(dropIn("files", fmt.Sprintf("LimitNOFILE=%d", want)), fmt.Sprintf("docker run --ulimit nofile=%d:%[1]d …", want)),
		}
		if most, ok := s.host.number("fs.nr_open"); ok && uint64(most) < want {
			f.Sysctls = append(f.Sysctls, Setting{"fs.nr_open", strconv.FormatUint(want, 10)})
		}
		out = append(out, f)
	case s.config != nil && s.needs.most == 0 && hard < goodFiles:
		out = append(out, Finding{
			Severity: Note, What: fmt.Sprintf("%s open files, %s, are room for %s connections", grouped(hard), whose, grouped(room)),
		})
	}
	if most, ok := s.host.number("fs.file-max"); ok && most > 0 && uint64(most) < needed {
		out = append(out, Finding{
			Severity: Warning, What: fmt.Sprintf("the whole host may open %s files only", grouped(most)), Why: why,
			Sysctls: []Setting{{"fs.file-max", strconv.FormatUint(2*want, 10)}},
		})
	}
	return out
}

const (
	leastQueue = 4096  // Linux's default since 5.4
	manyQueue  = 32768 // for many clients that come back in one second
	many       = 50000 // connections
)

// queues looks at what waits in the kernel when everybody reconnects.
func queues(s subject) []Finding {
	want := leastQueue
	if s.needs.most > many {
		want = manyQueue
	}
	var out []Finding
	if n, ok := s.host.number("net.core.somaxconn"); ok && n < want {
		f := Finding{
			Severity: Warning, What: fmt.Sprintf("the accept queue holds %s connections only (net.core.somaxconn)", grouped(n)),
			Why:     "When everybody reconnects at once, those that find it full try again after a second, and the storm lasts longer. Restart mqedge after the change.",
			Sysctls: []Setting{{"net.core.somaxconn", strconv.Itoa(want)}},
		}
		if n >= leastQueue {
			f.Severity = Note
		}
		out = append(out, f)
	}
	if n, ok := s.host.number("net.ipv4.tcp_syncookies"); ok && n == 0 {
		f := Finding{
			Severity: Warning, What: "SYN cookies are off (net.ipv4.tcp_syncookies)",
			Why:     "A flood of SYN packets, or of clients that come back, then keeps others out.",
			Sysctls: []Setting{{"net.ipv4.tcp_syncookies", "1"}},
		}
		if n, ok := s.host.number("net.ipv4.tcp_max_syn_backlog"); ok && n < want {
			f.Why += fmt.Sprintf(" Without them net.ipv4.tcp_max_syn_backlog, %s, is the limit; with them it is not.", grouped(n))
		}
		out = append(out, f)
	}
	return out
}

// tracking looks at the table of a firewall that follows connections. Where it
// has no entry, no rule of the firewall asks for it.
func tracking(s subject) []Finding {
	most, ok := s.host.number("net.netfilter.nf_conntrack_max")
	now, ok2 := s.host.number("net.netfilter.nf_conntrack_count")
	if !ok || !ok2 || most == 0 || now == 0 {
		return nil
	}
	const why = "The firewall of this host tracks connections, two for each client. When its table is full the kernel drops packets of new ones, and says \"table full\" in its log."
	needed := 2 * s.needs.most
	switch {
	case now > most/5*4:
		needed = max(needed, 2*now)
		return []Finding{{
			Severity: Warning, What: fmt.Sprintf("connection tracking is nearly full: %s of %s", grouped(now), grouped(most)),
			Why: why, Sysctls: []Setting{{"net.netfilter.nf_conntrack_max", strconv.Itoa(roundUp(needed))}},
		}}
	case most < needed:
		return []Finding{{
			Severity: Warning, What: fmt.Sprintf("connection tracking has room for %s, and %s are needed", grouped(most), grouped(needed)),
			Why: why, Sysctls: []Setting{{"net.netfilter.nf_conntrack_max", strconv.Itoa(roundUp(needed))}},
		}}
	}
	return nil
}

// roundUp is the next power of two with a quarter to spare.
func roundUp(n int) int { return 1 << bits.Len(uint(n+n/4)) }
