package h2_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/mqedge/mqedge/bench/h2"
)

func TestFramesHaveTheBytesOfTheSpecification(t *testing.T) {
	for name, c := range map[string]struct{ got, want []byte }{
		"SETTINGS":      {h2.AppendSettings(nil, h2.Setting{ID: h2.InitialWindowSize, Value: 258}), []byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 1, 2}},
		"SETTINGS ack":  {h2.AppendSettingsAck(nil), []byte{0, 0, 0, 4, 1, 0, 0, 0, 0}},
		"PING ack":      {h2.AppendPingAck(nil, []byte("12345678")), []byte("\x00\x00\x08\x06\x01\x00\x00\x00\x0012345678")},
		"WINDOW_UPDATE": {h2.AppendWindowUpdate(nil, 3, 515), []byte{0, 0, 4, 8, 0, 0, 0, 0, 3, 0, 0, 2, 3}},
		"HEADERS":       {h2.AppendFrame(nil, 66051, h2.Headers, h2.EndHeaders, 5), []byte{1, 2, 3, 1, 4, 0, 0, 0, 5}},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: % x, want % x", name, c.got, c.want)
		}
	}
}

func TestWhatIsAppendedIsReadBackWholeOrInPieces(t *testing.T) {
	stream := []byte(h2.Preface)
	stream = h2.AppendSettings(stream, h2.Setting{ID: h2.HeaderTableSize, Value: 7}, h2.Setting{ID: h2.MaxConcurrentStreams, Value: 8})
	stream = append(h2.AppendFrame(stream, 5, h2.Data, h2.EndStream, 9), "hello"...)
	stream = h2.AppendWindowUpdate(stream, 0, 1<<20)
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(stream), "pieces": iotest.OneByteReader(bytes.NewReader(stream))} {
		reader := h2.NewReader(r)
		if err := reader.Preface(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if ready := reader.Ready(); ready != (name == "whole") {
			t.Errorf("%s: ready %v", name, ready)
		}
		settings := next(t, reader).Settings()
		if len(settings) != 2 || settings[1] != (h2.Setting{ID: h2.MaxConcurrentStreams, Value: 8}) {
			t.Errorf("%s: settings %v", name, settings)
		}
		if f := next(t, reader); f.Type != h2.Data || !f.Has(h2.EndStream) || f.Stream != 9 || string(f.Payload) != "hello" {
			t.Errorf("%s: %+v", name, f)
		}
		if f := next(t, reader); f.Type != h2.WindowUpdate || f.Number() != 1<<20 {
			t.Errorf("%s: %+v", name, f)
		}
		if reader.Ready() {
			t.Errorf("%s: ready at the end", name)
		}
		if _, err := reader.Next(); err != io.EOF {
			t.Errorf("%s: %v at the end, want EOF", name, err)
		}
	}
}

func TestPaddingAndPriorityAreNotContent(t *testing.T) {
	for name, c := range map[string]struct {
		frame h2.Frame
		want  string
	}{
		"plain":           {h2.Frame{Type: h2.Data, Payload: []byte("abc")}, "abc"},
		"padded data":     {h2.Frame{Type: h2.Data, Flags: h2.Padded, Payload: []byte("\x02abc__")}, "abc"},
		"padding alone":   {h2.Frame{Type: h2.Data, Flags: h2.Padded, Payload: []byte("\x02__")}, ""},
		"priority":        {h2.Frame{Type: h2.Headers, Flags: h2.Priority, Payload: []byte("12345abc")}, "abc"},
		"padded priority": {h2.Frame{Type: h2.Headers, Flags: h2.Priority | h2.Padded, Payload: []byte("\x0112345abc_")}, "abc"},
	} {
		if got, err := c.frame.Content(); err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, f := range map[string]h2.Frame{
		"no length":       {Type: h2.Data, Flags: h2.Padded},
		"too much":        {Type: h2.Data, Flags: h2.Padded, Payload: []byte("\x04abc")},
		"cut priority":    {Type: h2.Headers, Flags: h2.Priority, Payload: []byte("1234")},
		"all is priority": {Type: h2.Headers, Flags: h2.Priority | h2.Padded, Payload: []byte("\x0112345")},
	} {
		if _, err := f.Content(); !errors.Is(err, h2.ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAReaderRefusesFramesThatBreakTheRulesOrAreCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"too large":            {h2.AppendFrame(nil, 16_385, h2.Data, 0, 1), h2.ErrFrame},
		"DATA of no stream":    {h2.AppendFrame(nil, 0, h2.Data, 0, 0), h2.ErrFrame},
		"HEADERS in parts":     {h2.AppendFrame(nil, 0, h2.Headers, 0, 1), h2.ErrFrame},
		"CONTINUATION":         {h2.AppendFrame(nil, 0, h2.Continuation, h2.EndHeaders, 1), h2.ErrFrame},
		"a short RST_STREAM":   {append(h2.AppendFrame(nil, 3, h2.RSTStream, 0, 1), 1, 2, 3), h2.ErrFrame},
		"a window without end": {h2.AppendFrame(nil, 0, h2.WindowUpdate, 0, 1), h2.ErrFrame},
		"half a setting":       {append(h2.AppendFrame(nil, 3, h2.Settings, 0, 0), 1, 2, 3), h2.ErrFrame},
		"a short GOAWAY":       {append(h2.AppendFrame(nil, 4, h2.GoAway, 0, 0), 1, 2, 3, 4), h2.ErrFrame},
		"half a header":        {[]byte{0, 0, 0}, io.ErrUnexpectedEOF},
		"half a payload":       {append(h2.AppendFrame(nil, 8, h2.Ping, 0, 0), 1, 2, 3), io.ErrUnexpectedEOF},
	} {
		if _, err := h2.NewReader(bytes.NewReader(c.stream)).Next(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := h2.NewReader(bytes.NewReader([]byte("GET / HTTP/1.1\r\nHost: example\r\n\r\n"))).Preface(); !errors.Is(err, h2.ErrFrame) {
		t.Errorf("HTTP/1.1: %v", err)
	}
}

func FuzzAnyStreamIsCutIntoFramesThatRejoinToIt(f *testing.F) {
	f.Add(h2.AppendWindowUpdate(h2.AppendSettings(nil, h2.Setting{ID: 1, Value: 2}), 0, 9))
	f.Add(append(h2.AppendFrame(nil, 4, h2.Data, h2.Padded, 1), 2, 'a', 0, 0))
	f.Fuzz(func(t *testing.T, stream []byte) {
		reader := h2.NewReader(bytes.NewReader(stream))
		rest := stream
		for {
			ready := reader.Ready()
			frame, err := reader.Next()
			if err != nil {
				if ready && !errors.Is(err, h2.ErrFrame) {
					t.Errorf("ready, but %v", err)
				}
				return
			}
			_, _ = frame.Content()
			switch frame.Type {
			case h2.Settings:
				_ = frame.Settings()
			case h2.WindowUpdate, h2.RSTStream:
				_ = frame.Number()
			case h2.GoAway:
				_ = frame.GoAwayCode()
			}
			if !bytes.Equal(rest[9:9+len(frame.Payload)], frame.Payload) {
				t.Errorf("payload % x of % x", frame.Payload, rest)
			}
			rest = rest[9+len(frame.Payload):]
		}
	})
}

func next(t *testing.T, r *h2.Reader) h2.Frame {
	t.Helper()
	f, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	return f
}
