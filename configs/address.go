package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// hostPort is an address taken apart. Two that mean one address are equal, however they are written.
type hostPort struct {
	host string     // in one spelling; "" means every address of the machine, as does an unspecified ip
	ip   netip.Addr // zero when host is a name
	port int
}

var (
	hostName  = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)
	dotsOnly  = regexp.MustCompile(`^[0-9.]+$`)
	urlScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+]*://`)
)

// splitAddress takes host:port apart; its errors tell what to write instead.
func splitAddress(text string) (hostPort, error) {
	if scheme := urlScheme.FindString(text); scheme != "" {
		return hostPort{}, fmt.Errorf("%s is a URL: write host:port, without %s", shown(text), scheme)
	}
	if strings.HasPrefix(text, "unix:") || strings.HasPrefix(text, "/") {
		return hostPort{}, fmt.Errorf("%s is a unix socket, which mqedge does not do: write host:port", shown(text))
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Is6() {
			if last := strings.LastIndexByte(text, ':'); wholeNumber.MatchString(text[last+1:]) && checkHost(text[:last]) == nil {
				return hostPort{}, fmt.Errorf("%s has no brackets: write [%s]:%s", shown(text), text[:last], text[last+1:])
			}
			return hostPort{}, fmt.Errorf("%s has no port: write [%s]:PORT", shown(text), text)
		}
		return hostPort{}, fmt.Errorf("%s has no port: write %s:PORT", shown(text), text)
	}
	if wholeNumber.MatchString(text) {
		return hostPort{}, fmt.Errorf("%s has no host: write 0.0.0.0:%s, or 127.0.0.1:%s for this machine only", shown(text), text, text)
	}
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return hostPort{}, fmt.Errorf("%s has no port: write %s:PORT", shown(text), text)
	}
	host, portText := text[:colon], text[colon+1:]
	port, err := strconv.Atoi(portText)
	if err != nil || portText != strconv.Itoa(port) {
		return hostPort{}, fmt.Errorf("%s is not a port: write a number from 1 to 65535", shown(portText))
	}
	if port < 0 || port > 65535 {
		return hostPort{}, fmt.Errorf("port %d is out of range: the most is 65535", port)
	}
	a := hostPort{host: strings.ToLower(host), port: port}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		inner, bracketed = strings.CutSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(inner)
	switch {
	case host == "":
	case a.host == "localhost":
		a.ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		a.host = a.ip.String()
	case err == nil && ip.Is6() && !bracketed:
		return hostPort{}, fmt.Errorf("%s has no brackets: write [%s]:%d", shown(text), host, port)
	case err == nil && ip.Is6() == bracketed:
		a.ip = ip.Unmap()
		a.host = a.ip.String()
	case bracketed:
		return hostPort{}, fmt.Errorf("%s is not an IPv6 address: only those stand in brackets", shown(inner))
	default:
		if err := checkHost(host); err != nil {
			return hostPort{}, err
		}
	}
	return a, nil
}

func checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return nil
	}
	switch {
	case dotsOnly.MatchString(host):
		return fmt.Errorf("%s is not an IPv4 address", shown(host))
	case len(host) > 253 || !hostName.MatchString(host):
		return fmt.Errorf("%s is not a host name or an IP address", shown(host))
	}
	return nil
}

// checkBind allows port 0, any free one, and an empty host, every address of the machine.
func checkBind(text string) error {
	if strings.HasPrefix(text, "*:") {
		return fmt.Errorf("%s: write 0.0.0.0%s, or [::]%s for IPv6 as well", shown(text), text[1:], text[1:])
	}
	_, err := splitAddress(text)
	return err
}

func checkAddress(text string) error {
	a, err := splitAddress(text)
	switch {
	case err != nil:
		return err
	case a.host == "":
		return fmt.Errorf("%s has no host: write host:port", shown(text))
	case a.port == 0:
		return errors.New("port 0 cannot be connected to: write the port of the server")
	}
	return nil
}

// overlaps says whether the system would refuse to listen on both.
func (a hostPort) overlaps(b hostPort) bool {
	if a.port != b.port || a.port == 0 {
		return false
	}
	return a.covers(b) || b.covers(a)
}

// covers says whether a listener on a takes what is sent to b. An empty host and [::] are of both families; 0.0.0.0
// and [::] exclude each other, though neither takes all of the other's.
func (a hostPort) covers(b hostPort) bool {
	switch {
	case a.host == "" || a.ip == netip.IPv6Unspecified():
		return true
	case a.ip == netip.IPv4Unspecified():
		return !b.ip.Is6() || b.ip.IsUnspecified()
	}
	return a == b
}

// reaches says whether connecting to a certainly ends at a listener on bind, on the same machine.
func (a hostPort) reaches(bind hostPort) bool {
	if a.port != bind.port {
		return false
	}
	return a == bind || (a.ip.IsLoopback() || a.ip.IsUnspecified()) && bind.covers(a)
}
