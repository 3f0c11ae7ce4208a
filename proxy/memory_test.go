package proxy

import (
	"testing"
	"unsafe"
)

func TestAConnectionStaysSmall(t *testing.T) {
	// The size class above it would cost every connection another 16 bytes.
	if n := unsafe.Sizeof(conn{}); n > 160 {
		t.Errorf("a connection takes %d bytes", n)
	}
}
