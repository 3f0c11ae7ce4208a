package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	mqedgeName = "mqedge"
	beamName   = "beam.smp" // the virtual machine that EMQX runs in, and others do
)

// readProcesses finds mqedge, EMQX, and who has the sockets.
func (h *Host) readProcesses(root string) {
	proc := filepath.Join(root, "proc")
	entries, err := os.ReadDir(proc)
	if err != nil {
		return
	}
	self, _ := os.Readlink(filepath.Join(proc, "self")) // without it mqedge may look at itself, which does no harm
	ours, _ := os.Readlink(filepath.Join(proc, "self/ns/net"))
	owners := make(map[uint64]int, len(h.Sockets)) // index of the socket by inode
	for i, s := range h.Sockets {
		if s.Inode != 0 {
			owners[s.Inode] = i
		}
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || e.Name() == self {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		p := readProcess(dir, pid)
		p.Shares = p.Network != "" && p.Network == ours
		owns := h.own(dir, pid, owners)
		if owns || p.Name == mqedgeName || p.isEMQX() {
			h.Processes = append(h.Processes, p)
		}
		elsewhere := p.Network != "" && !p.Shares
		if p.Name == mqedgeName && len(p.Args) > 1 && p.Args[1] == "run" && !elsewhere {
			if hard := parseOpenFiles(readText(dir, "limits")); hard != 0 {
				h.OpenFiles = OpenFiles{Hard: hard, PID: pid}
			}
		}
	}
}

func readProcess(dir string, pid int) Process {
	p := Process{PID: pid, Name: strings.TrimSpace(readText(dir, "comm"))}
	p.Network, _ = os.Readlink(filepath.Join(dir, "ns/net")) // only root may, for others' processes
	if text, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		p.Args = splitZero(text)
	}
	if !p.isErlang() {
		return p
	}
	text, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil {
		return p
	}
	p.Env = make(map[string]string)
	for _, word := range splitZero(text) {
		name, value, _ := strings.Cut(word, "=")
		if relevant(name) {
			p.Env[name] = value
		}
	}
	return p
}

// relevant selects variables of EMQX. Passwords and cookies are nobody's business.
func relevant(name string) bool {
	if name == "EMQX_NODE_NAME" || name == "EMQX_NODE__NAME" {
		return true
	}
	_, ofEMQX := strings.CutPrefix(name, "EMQX_")
	port := strings.HasSuffix(name, "__BIND") || strings.HasSuffix(name, "__ENABLE") || strings.HasSuffix(name, "__ENABLED")
	return ofEMQX && (port || isListener4(name) || strings.HasSuffix(name, "_SERVER_PORT") || name == "EMQX_RPC__PORT_DISCOVERY")
}

// isEMQX tells it from RabbitMQ and other programs in Erlang.
func (p Process) isEMQX() bool {
	return p.isErlang() && (len(p.Env) > 0 || slices.ContainsFunc(p.Args, func(a string) bool { return strings.Contains(a, "emqx") }))
}

// isErlang goes by the arguments as well, since EMQX gives its process the name of the node where it can.
func (p Process) isErlang() bool { return p.Name == beamName || slices.Contains(p.Args, "-progname") }

// own notes the process with the sockets that it has open, takes these out of
// owners, and reports whether there are any.
func (h *Host) own(dir string, pid int, owners map[uint64]int) bool {
	if len(owners) == 0 {
		return false
	}
	folder, err := os.Open(filepath.Join(dir, "fd"))
	if err != nil {
		return false // another user's
	}
	defer folder.Close()
	owns := false
	for {
		names, err := folder.Readdirnames(1000) // a process may have a million
		for _, name := range names {
			target, err := os.Readlink(filepath.Join(dir, "fd", name))
			if err != nil {
				continue
			}
			inode, ok := parseSocketLink(target)
			if !ok {
				continue
			}
			if i, wanted := owners[inode]; wanted {
				h.Sockets[i].PID = pid
				delete(owners, inode)
				owns = true
			}
		}
		if err != nil || len(owners) == 0 {
			return owns
		}
	}
}

// parseSocketLink reads socket:[12345].
func parseSocketLink(text string) (inode uint64, ok bool) {
	text, isSocket := strings.CutPrefix(text, "socket:[")
	text, closed := strings.CutSuffix(text, "]")
	if !isSocket || !closed {
		return 0, false
	}
	inode, err := strconv.ParseUint(text, 10, 64)
	return inode, err == nil
}
