package proxy

import (
	"testing"
	"unsafe"
)

func TestAConnectionStaysSmall(t *testing.T) {
	// The size class above it would cost every connection another 32 bytes.
	if n := unsafe.Sizeof(conn{}); n > 256 {
		t.Errorf("a connection takes %d bytes", n)
	}
}
