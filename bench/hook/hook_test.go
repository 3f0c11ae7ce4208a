package hook_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/mqedge/mqedge/bench/hook"
)

func TestAnAnswerHasTheBytesOfAValuedResponse(t *testing.T) {
	want := append([]byte{
		0, 0, 0, 0, 20,
		1 << 3, 2, // type: STOP_AND_RETURN
		3 << 3, 1, // bool_result: true
		15<<3 | 2, 14}, "device-0000007"...)
	if got := hook.AppendAuthenticateAnswer([]byte("before"), []byte(hook.ClientID(7))); !bytes.Equal(got, append([]byte("before"), want...)) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestTheLoadedAnswerRegistersTheHookThatIsCalled(t *testing.T) {
	want := append([]byte{0, 0, 0, 0, 23, 1<<3 | 2, 21, 1<<3 | 2, 19}, "client.authenticate"...)
	if got := hook.LoadedAnswer(); !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestAMergedAnswerRegistersTheHookAmongOthers(t *testing.T) {
	spec := func(name string) []byte {
		p := append([]byte{1<<3 | 2, byte(len(name))}, name...)
		return append([]byte{1<<3 | 2, byte(len(p))}, p...)
	}
	answer := func(specs ...[]byte) []byte {
		p := bytes.Join(specs, nil)
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(p))), p...)
	}
	other, ours := spec("client.connected"), spec("client.authenticate")
	for name, c := range map[string]struct {
		answer []byte
		want   bool
	}{
		"alone":   {hook.LoadedAnswer(), true},
		"last":    {answer(other, ours), true},
		"first":   {answer(ours, other), true},
		"other":   {answer(other), false},
		"none":    {answer(), false},
		"cut":     {answer(other, ours)[:20], false},
		"garbage": {answer([]byte{0xff}), false},
		"nothing": {nil, false},
	} {
		if got := hook.Registers(c.answer); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestARequestIsOfAboutThreeHundredBytesAndNamesItsClient(t *testing.T) {
	for _, i := range []int{0, 499, 9_999_999} {
		request := hook.AuthenticateRequest(hook.ClientID(i))
		if n := binary.BigEndian.Uint32(request[1:]); int(n) != len(request)-5 || n < 250 || n > 350 {
			t.Errorf("%d bytes in %d", n, len(request))
		}
		if got, err := hook.Client(request); err != nil || string(got) != hook.ClientID(i) {
			t.Errorf("client %q, %v", got, err)
		}
	}
	request := hook.AuthenticateRequest("c")
	for i := range request {
		if _, err := hook.Client(request[:i]); !errors.Is(err, hook.ErrMessage) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
}

func TestAHeaderNamesTheMessageOfItsMethod(t *testing.T) {
	for path, kind := range map[string]string{hook.ProviderLoaded: "emqx.exhook.v2.ProviderLoadedRequest", hook.Authenticate: "emqx.exhook.v2.ClientAuthenticateRequest"} {
		h := hook.Header(path, "host:1")
		for _, want := range [][2]string{{":path", path}, {":authority", "host:1"}, {"grpc-message-type", kind}} {
			if !slices.Contains(h, want) {
				t.Errorf("no %v in %v", want, h)
			}
		}
	}
}

func FuzzAClientIsPartOfWhateverRequestItIsFoundIn(f *testing.F) {
	f.Add(hook.AuthenticateRequest("device"))
	f.Add(hook.LoadedRequest())
	f.Fuzz(func(t *testing.T, request []byte) {
		_ = hook.Registers(request)
		if client, err := hook.Client(request); err == nil && !bytes.Contains(request, client) {
			t.Errorf("%q in % x", client, request)
		}
	})
}
