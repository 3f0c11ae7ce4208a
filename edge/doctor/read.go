package doctor

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/edge/cgroup"
)

// Options say what to look at.
type Options struct {
	Config  *configs.Config // nil: the host in general
	Root    string          // where /proc and /sys are; "" is /
	Offline bool            // nothing is resolved or connected to
}

// sysctls are the kernel settings that the checks look at.
var sysctls = [...]string{
	"fs.file-max", "fs.nr_open",
	"net.core.somaxconn",
	"net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_tw_reuse",
	"net.ipv6.conf.all.disable_ipv6",
	"net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_max",
}

// longestResolve bounds the lookups of all names of the endpoints together.
const longestResolve = 5 * time.Second

// Read collects the facts. Files of the configuration, addresses and binds are
// those of this process, whatever the root.
func Read(ctx context.Context, o Options) *Host {
	root := o.Root
	if root == "" {
		root = "/"
	}
	h := &Host{Sysctls: make(map[string]string), Now: time.Now()}
	for _, key := range sysctls {
		if text, err := os.ReadFile(filepath.Join(root, "proc/sys", strings.ReplaceAll(key, ".", "/"))); err == nil {
			h.Sysctls[key] = strings.TrimSpace(string(text))
		}
	}
	h.Release = strings.TrimSpace(readText(root, "proc/sys/kernel/osrelease"))
	h.OpenFiles.Hard = parseOpenFiles(readText(root, "proc/self/limits"))
	h.Root = parseRoot(readText(root, "proc/self/status"))
	h.Memory.Total = parseMemTotal(readText(root, "proc/meminfo"))
	h.TimeWait = parseTimeWait(readText(root, "proc/net/sockstat"))
	for _, g := range cgroup.Groups(root) {
		if limit, _, ok := g.Read(); ok && (h.Memory.Limit == 0 || limit < h.Memory.Limit) {
			h.Memory.Limit, h.Memory.LimitFile = limit, g.Limit
		}
	}
	if n, file, ok := cgroup.Processors(root); ok {
		h.Processors = Processors{Quota: n, File: file}
	}
	h.Addresses = interfaceAddresses()

	n := newNeeds(o.Config)
	h.readSockets(root, n)
	h.readProcesses(root)
	h.tryBinds(n)
	h.readFiles(o.Config)
	if !o.Offline {
		h.resolve(ctx, n)
	}
	return h
}

func readText(root, name string) string {
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return "" // whoever needs it finds nothing
	}
	return string(text)
}

// parseOpenFiles finds the hard limit in /proc/PID/limits: "Max open files  1024  4096  files".
// It is 0 when it is not there, and the greatest number for "unlimited".
func parseOpenFiles(text string) uint64 {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, "Max open files")
		fields := strings.Fields(rest)
		if !found || len(fields) < 2 {
			continue
		}
		if fields[1] == "unlimited" {
			return 1<<64 - 1
		}
		n, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return 0
}

// parseRoot reads /proc/self/status: whether the effective user is root.
func parseRoot(text string) bool {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, "Uid:") // real, effective, saved, file system
		if fields := strings.Fields(rest); found && len(fields) > 1 {
			return fields[1] == "0"
		}
	}
	return false
}

// parseMemTotal reads /proc/meminfo, "MemTotal:  16308364 kB", into bytes.
func parseMemTotal(text string) uint64 {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, "MemTotal:")
		fields := strings.Fields(rest)
		if !found || len(fields) == 0 {
			continue
		}
		kib, err := strconv.ParseUint(fields[0], 10, 44)
		if err != nil {
			return 0
		}
		return kib << 10
	}
	return 0
}

func interfaceAddresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil // loopback is known without
	}
	var out []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap().WithZone(""))
		}
	}
	return out
}

// readSockets keeps those that listen, those that have an address to listen on, and of
// those that have the port of an endpoint on this host one each: a host may have a
// million others.
func (h *Host) readSockets(root string, n needs) {
	wanted := make(map[uint16]bool)
	for _, e := range n.local(h) {
		wanted[uint16(e.port)] = true
	}
	for _, name := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		f, err := os.Open(filepath.Join(root, name))
		if err != nil {
			continue
		}
		parseSockets(f, func(s Socket) {
			if s.Listen || slices.ContainsFunc(n.binds, func(b bind) bool { return b.covers(s) }) {
				h.Sockets = append(h.Sockets, s)
			} else if wanted[s.Local.Port()] {
				h.Sockets = append(h.Sockets, s)
				delete(wanted, s.Local.Port())
			}
		})
		f.Close()
	}
}

func (h *Host) resolve(ctx context.Context, n needs) {
	ctx, cancel := context.WithTimeout(ctx, longestResolve)
	defer cancel()
	h.Resolved = make(map[string][]netip.Addr)
	for _, u := range n.upstreams {
		for _, e := range u.endpoints {
			if _, known := h.Resolved[e.host]; known || e.addresses(h) != nil {
				continue
			}
			addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", e.host)
			if err != nil {
				addrs = nil // connecting says why
			}
			for i := range addrs {
				addrs[i] = addrs[i].Unmap()
			}
			h.Resolved[e.host] = addrs
		}
	}
}

// splitZero takes the words apart that each end with a zero byte, as in /proc/PID/cmdline and environ.
func splitZero(text []byte) []string {
	var out []string
	for word := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte{0}), []byte{0}) {
		out = append(out, string(word))
	}
	return out
}
