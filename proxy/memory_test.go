package proxy

import (
	"crypto/tls"
	"testing"
	"unsafe"
)

func TestAConnectionStaysSmall(t *testing.T) {
	// The size class above it would cost every connection another 16 bytes.
	if n := unsafe.Sizeof(conn{}); n > 160 {
		t.Errorf("a connection takes %d bytes", n)
	}
}

func TestTheNameOfACipherCostsNoAllocation(t *testing.T) {
	info := &tlsInfo{cipher: tls.TLS_AES_128_GCM_SHA256}
	if n := testing.AllocsPerRun(100, func() { info.cipherName() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if name := info.cipherName(); name != "TLS_AES_128_GCM_SHA256" {
		t.Errorf("got %s", name)
	}
	if name := (&tlsInfo{cipher: 0xabcd}).cipherName(); name != "0XABCD" {
		t.Errorf("an unknown one is %s", name)
	}
}
