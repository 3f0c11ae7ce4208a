//go:build linux

package relay

import (
	"testing"
	"unsafe"
)

func TestAPairInALoopStaysSmall(t *testing.T) {
	// The size class above it would cost every connection another 32 bytes.
	if size := unsafe.Sizeof(loopPair{}); size > 288 {
		t.Errorf("a pair takes %d bytes", size)
	}
}
