package doctor

import (
	"errors"
	"syscall"
)

// tryBinds binds each address for a moment. Nobody listens there meanwhile, so no
// client gets a connection that nobody serves.
func (h *Host) tryBinds(n needs) {
	h.Binds = make(map[string]error)
	for _, b := range n.binds {
		if b.host.IsValid() {
			h.Binds[b.address] = try(b)
		}
	}
}

func try(b bind) error {
	family, sockaddr := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: b.port, Addr: b.host.As16()})
	if b.host.Is4() {
		family, sockaddr = syscall.AF_INET, &syscall.SockaddrInet4{Port: b.port, Addr: b.host.As4()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if errors.Is(err, syscall.EAFNOSUPPORT) && b.host.IsUnspecified() && b.address[0] == ':' {
		return try(newBind(b.key, "0.0.0.0"+b.address)) // an empty host is of the families that there are
	}
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil { // as mqedge itself
		return err
	}
	if family == syscall.AF_INET6 {
		only := 1
		if b.host.IsUnspecified() {
			only = 0
		}
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, only); err != nil {
			return err
		}
	}
	return syscall.Bind(fd, sockaddr)
}
