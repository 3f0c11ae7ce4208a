package ports

import (
	"net/netip"
	"strings"
	"testing"
)

func TestThePortsOfTheHostAreThoseOfItsRangeThatAreNotReserved(t *testing.T) {
	for _, c := range []struct {
		bounds, reserved string
		want             int
	}{
		{"32768\t60999\n", "\n", 28232},
		{"10240\t65535\n", "", 55296},
		{"40000 40099", "40000-40009,40050,50000,1-39999", 89},
		{"40000 40099", "30000-65535", 0},
		{"40000 40099", "garbage,40001-,-5,40002-40001", 100},
		{"40000 40000", "", 1},
		{"", "", defaultPorts},
		{"60999 32768", "", defaultPorts},
		{"a b", "", defaultPorts},
		{"0 70000", "", defaultPorts},
	} {
		if got := countPorts(c.bounds, c.reserved); got != c.want {
			t.Errorf("%q without %q: %d, want %d", c.bounds, c.reserved, got, c.want)
		}
	}
	if n := Available(); n <= 0 || n > 65536 {
		t.Errorf("this host has %d", n)
	}
}

func FuzzCountPorts(f *testing.F) {
	f.Add("32768\t60999\n", "8080,9100-9110\n")
	f.Add("1 65535", "")
	f.Fuzz(func(t *testing.T, bounds, reserved string) {
		n := countPorts(bounds, reserved)
		if n < 0 || n > 65536 {
			t.Errorf("%q without %q: %d", bounds, reserved, n)
		}
	})
}

func TestAnAddressThatTheHostDoesNotHaveIsFound(t *testing.T) {
	if err := Check(netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"192.0.2.1", "2001:db8::1"} { // for documentation only
		err := Check(netip.MustParseAddr(text))
		if err == nil || !strings.Contains(err.Error(), text+": this host has no such address: see `ip address`") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
