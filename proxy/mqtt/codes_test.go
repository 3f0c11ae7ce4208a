package mqtt

import (
	"bytes"
	"testing"
)

func TestRefusalsAreConnacksOfTheClientsVersion(t *testing.T) {
	for _, code := range []byte{ServerUnavailable, ServerBusy, QuotaExceeded, UseAnotherServer, ServerMoved, ConnectionRateExceeded} {
		for level, want := range map[byte][]byte{
			Level31: {0x20, 2, 0, 3}, Level311: {0x20, 2, 0, 3}, Level5: {0x20, 3, 0, code, 0},
		} {
			b := AppendConnack([]byte("x"), level, code)
			if !bytes.Equal(b[1:], want) || b[0] != 'x' {
				t.Errorf("level %d code %#x: % x", level, code, b)
			}
			c, n, err := ParseConnack(b[1:], level, 100)
			if err != nil || n != len(want) || c != (Connack{ReasonCode: want[3]}) {
				t.Errorf("level %d code %#x reads as %+v, %v", level, code, c, err)
			}
			if !Retryable(level, c.ReasonCode) {
				t.Errorf("level %d code %#x: another edge in front would not try elsewhere", level, c.ReasonCode)
			}
		}
	}
}

func TestADisconnectCarriesItsPropertyLength(t *testing.T) {
	if b := AppendDisconnect([]byte("x"), ServerShuttingDown); string(b) != "x\xe0\x02\x8b\x00" {
		t.Errorf("% x", b)
	}
}

func TestOnlyWhatIsNotTheClientsFaultIsTriedElsewhere(t *testing.T) {
	want := map[byte]string{Level31: "\x03", Level311: "\x03", Level5: "\x88\x89\x97\x9c\x9d\x9f"}
	for level, codes := range want {
		for code := range 256 {
			if got := Retryable(level, byte(code)); got != bytes.Contains([]byte(codes), []byte{byte(code)}) {
				t.Errorf("level %d code %#x: %v", level, code, got)
			}
		}
	}
}

func TestCodesHaveTheNamesOfTheirVersion(t *testing.T) {
	for _, tt := range []struct {
		level, code byte
		want        string
	}{
		{Level31, 0, "Connection accepted"},
		{Level311, 3, "Server unavailable"},
		{Level311, 5, "Not authorized"},
		{Level311, 6, "code 0x06"},
		{Level311, 0x88, "code 0x88"},
		{Level5, 0, "Success"},
		{Level5, 3, "code 0x03"},
		{Level5, 0x87, "Not authorized"},
		{Level5, ServerShuttingDown, "Server shutting down"},
		{Level5, AdministrativeAction, "Administrative action"},
		{Level5, UseAnotherServer, "Use another server"},
		{Level5, 0xff, "code 0xff"},
	} {
		if got := CodeName(tt.level, tt.code); got != tt.want {
			t.Errorf("level %d code %#x: %q, want %q", tt.level, tt.code, got, tt.want)
		}
	}
}
