package nginx

import (
	"testing"
	"time"
)

func TestTimesAreReadAsNginxWritesThem(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"350s": 350 * time.Second, "60": time.Minute, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "1h 30m": 90 * time.Minute,
		"500ms": 500 * time.Millisecond, "1d": 24 * time.Hour, "1M": 30 * 24 * time.Hour, "0": 0,
	} {
		if got, ok := parseTime(text); !ok || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "s", "-1s", "1x", "1.5s", "never", "99999999999999999999", "9999y", "999999999999y", " 1s"} {
		if got, ok := parseTime(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}
