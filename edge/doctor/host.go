package doctor

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Host are the facts about a host. What could not be read has its zero value,
// and a check that needs it finds nothing.
type Host struct {
	Sysctls    map[string]string // as "net.core.somaxconn": "4096"
	OpenFiles  OpenFiles
	Release    string       // of the kernel, as "6.1.0-18-amd64"
	Root       bool         // who runs the command is root
	Addresses  []netip.Addr // of the interfaces
	Sockets    []Socket     // TCP, that listen or have one of the configured ports
	Processes  []Process    // of mqedge and EMQX, and those that have such sockets
	TimeWait   int          // closed connections that still have their port
	Memory     Memory
	Processors Processors
	Files      map[string]File // by path, those that the configuration names
	Folders    map[string]Folder
	Binds      map[string]error        // by address; nil: it can be listened on
	Endpoints  map[string]error        // by key; nil: it answered. Without the key it was not asked
	Resolved   map[string][]netip.Addr // by name
	Engine     *Engine                 // nil: not asked
	Now        time.Time
}

// OpenFiles is the limit that counts, the hard one: mqedge raises the soft one itself.
type OpenFiles struct {
	Hard uint64 // 0: not known
	PID  int    // of the running mqedge that has it; 0: it is the one of this command
}

// Socket is a TCP socket.
type Socket struct {
	Local  netip.AddrPort
	Listen bool
	Inode  uint64
	PID    int // 0: not known
}

// Process is a running program.
type Process struct {
	PID     int
	Name    string // as in /proc/PID/comm, at most 15 characters
	Args    []string
	Env     map[string]string // of EMQX only, its own variables; nil: not readable
	Network string            // names its network namespace; "": not known
	Shares  bool              // the network namespace of this command
}

// Memory is what there is for this process, in bytes.
type Memory struct {
	Total     uint64 // of the host
	Limit     uint64 // the least of a control group; 0: none
	LimitFile string
}

// Processors is how many of them this process may use.
type Processors struct {
	Quota float64 // 0: no quota
	File  string
}

// File is what is known of a file.
type File struct {
	Mode    uint32    // permission bits
	Expires time.Time // of a certificate; zero: it is none
}

// Folder is where a file is written.
type Folder struct {
	Err  error  // why no file can be written there
	Free uint64 // bytes
	Size uint64
}

// number returns a sysctl that is a whole number.
func (h *Host) number(key string) (n int, ok bool) {
	n, err := strconv.Atoi(strings.TrimSpace(h.Sysctls[key]))
	return n, err == nil
}

func (h *Host) process(pid int) (Process, bool) {
	i := slices.IndexFunc(h.Processes, func(p Process) bool { return p.PID == pid })
	if pid == 0 || i < 0 {
		return Process{}, false
	}
	return h.Processes[i], true
}

// has reports whether an address is one of this host's.
func (h *Host) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsLoopback() || a.IsUnspecified() || slices.Contains(h.Addresses, a)
}
