package doctor

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// stateListen and stateTimeWait are of include/net/tcp_states.h.
const (
	stateTimeWait = "06"
	stateListen   = "0A"
)

// parseSockets reads /proc/net/tcp or tcp6 and calls found for each socket that
// has an owner. Lines that make no sense are passed over.
func parseSockets(r io.Reader, found func(Socket)) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if s, ok := parseSocket(lines.Text()); ok {
			found(s)
		}
	}
}

// parseSocket reads a line: number, local address, remote address, state, four
// fields on queues and timers, user, timeout, inode (proc(5)).
func parseSocket(line string) (Socket, bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] == stateTimeWait {
		return Socket{}, false
	}
	local, err := parseHexAddress(fields[1])
	if err != nil {
		return Socket{}, false
	}
	inode, err := strconv.ParseUint(fields[9], 10, 64)
	if err != nil {
		return Socket{}, false
	}
	return Socket{Local: local, Listen: fields[3] == stateListen, Inode: inode}, true
}

// parseHexAddress reads 0100007F:1F90. The address is in words of 32 bits, each
// as this machine has it in memory.
func parseHexAddress(text string) (netip.AddrPort, error) {
	host, portText, _ := strings.Cut(text, ":")
	port, err := strconv.ParseUint(portText, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	raw, err := hex.DecodeString(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", host)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), nil
}

// parseTimeWait finds the number of closed connections that still have a port in
// /proc/net/sockstat, "TCP: inuse 5 orphan 0 tw 12 …".
func parseTimeWait(text string) int {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(fields); i += 2 {
			if fields[i] == "tw" {
				n, err := strconv.ParseUint(fields[i+1], 10, 31)
				if err != nil {
					return 0
				}
				return int(n)
			}
		}
	}
	return 0
}
