package edge

import "testing"

func TestGarbageIsHalfOfWhatIsInUseButNeverTooLittleToBeWorthCollecting(t *testing.T) {
	for inUse, want := range map[uint64]int{0: 600, 4 << 20: 600, 24 << 20: 100, 48 << 20: 50, 1 << 40: 50} {
		if got := percentFor(inUse); got != want {
			t.Errorf("%d bytes in use: GOGC %d, want %d", inUse, got, want)
		}
	}
}
