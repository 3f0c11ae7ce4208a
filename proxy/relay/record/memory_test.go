package record

import (
	"bytes"
	"crypto/tls"
	"runtime"
	"testing"
	"unsafe"
)

func TestAStateIsSmall(t *testing.T) {
	// 176 is a size class of the allocator.
	if size := unsafe.Sizeof(State{}); size > 176 {
		t.Errorf("%d bytes", size)
	}
}

func TestASleepingStateIsOneObject(t *testing.T) {
	const n = 2000
	states := make([]*State, n)
	work := new(Work)
	var plain, sealed []byte
	before := heap()
	for i := range states {
		server, client := newPeers(t, tls.TLS_AES_256_GCM_SHA384)
		sealed = client.KeyUpdate(client.Seal(sealed[:0], payload(100)), true)
		for _, half := range [][]byte{sealed[:50], sealed[50:]} {
			var err error
			if plain, err = server.Open(plain[:0], half, work); err != nil {
				t.Fatal(err)
			}
		}
		work.Reply = work.Reply[:0]
		server.Seal(nil, plain)
		server.Sleep()
		states[i] = server
	}
	after := heap()
	objects := float64(after.HeapObjects-before.HeapObjects) / n
	size := float64(after.HeapAlloc-before.HeapAlloc) / n
	if objects > 1.1 || size > 190 {
		t.Errorf("%.2f objects, %.0f bytes each", objects, size)
	}
	runtime.KeepAlive(states)
}

func heap() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

func TestSleepIsNotSeenOnTheWire(t *testing.T) {
	for _, id := range suites {
		_, client := newPeers(t, id)
		records, _ := mixture(client)
		var sleeper, awake *State
		sleeper, _ = newPeers(t, id)
		awake, _ = newPeers(t, id)
		for _, c := range records {
			plain1, err1 := sleeper.Open(nil, []byte{c}, new(Work))
			plain2, err2 := awake.Open(nil, []byte{c}, new(Work))
			if err1 != err2 || !bytes.Equal(plain1, plain2) {
				t.Fatalf("%q and %v, awake %q and %v", plain1, err1, plain2, err2)
			}
			if len(plain1) > 0 && !bytes.Equal(sleeper.Seal(nil, plain1), awake.Seal(nil, plain1)) {
				t.Fatal("sealed differently")
			}
			sleeper.Sleep()
		}
	}
}

func TestOpenAndSealDoNotAllocate(t *testing.T) {
	for _, id := range suites {
		for _, size := range []int{1, 200, MaxPayload, 200_000} {
			server, client := newPeers(t, id)
			work := new(Work)
			text := payload(size)
			sealed := make([]byte, 0, size+20*Overhead)
			plain := make([]byte, 0, size+20*Overhead+MaxRecord)
			allocs := testing.AllocsPerRun(100, func() {
				sealed = client.Seal(sealed[:0], text)
				var err error
				if plain, err = server.Open(plain[:0], sealed, work); err != nil || len(plain) != size {
					t.Fatal(len(plain), err)
				}
			})
			if allocs > 0 {
				t.Errorf("%v allocations for %d bytes", allocs, size)
			}
		}
	}
}

func TestSealAllocatesOnceWhatItNeeds(t *testing.T) {
	_, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	text := payload(200_000)
	client.Seal(nil, text[:1])
	if allocs := testing.AllocsPerRun(20, func() { client.Seal(nil, text) }); allocs > 2 { // the race detector adds one
		t.Errorf("%v allocations, want 1", allocs)
	}
}

func TestBulkCutInsideRecordsDoesNotAllocate(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	work := new(Work)
	text := payload(3 * MaxPayload)
	sealed := make([]byte, 0, 4*MaxPayload)
	plain := make([]byte, 0, 5*MaxPayload)
	allocs := testing.AllocsPerRun(100, func() {
		sealed = client.Seal(sealed[:0], text)
		plain = plain[:0]
		for rest := sealed; len(rest) > 0; {
			n := min(10_000, len(rest))
			var err error
			if plain, err = server.Open(plain, rest[:n], work); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
	})
	if allocs > 0 || !bytes.Equal(plain, text) {
		t.Errorf("%v allocations, %d bytes", allocs, len(plain))
	}
}

func TestABufferServesOneRecordAtATime(t *testing.T) {
	work := new(Work)
	var servers [2 * maxFree]*State
	var records [2 * maxFree][]byte
	for round := range 3 {
		for i := range servers {
			if round == 0 {
				servers[i], _ = newPeers(t, tls.TLS_AES_128_GCM_SHA256)
			}
			_, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
			client.write.seq = uint64(round)
			records[i] = client.Seal(nil, payload(bulkLen+i*50))
			if _, err := servers[i].Open(nil, records[i][:1000+i], work); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range servers {
			plain, err := s.Open(nil, records[i][1000+i:], work)
			if err != nil || !bytes.Equal(plain, payload(bulkLen+i*50)) {
				t.Fatalf("%d bytes and %v", len(plain), err)
			}
			if s.partial != nil {
				t.Fatal("a buffer is kept without a record in it")
			}
		}
		if len(work.free) != maxFree {
			t.Fatalf("%d buffers kept, want %d", len(work.free), maxFree)
		}
	}
}

func TestASmallPartialRecordIsKeptInItsSize(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	work := new(Work)
	record := client.Seal(nil, payload(200))
	if _, err := server.Open(nil, record[:20], work); err != nil {
		t.Fatal(err)
	}
	if size := cap(server.partial.record); size != len(record) {
		t.Errorf("%d bytes, want %d", size, len(record))
	}
	mustOpen(t, server, record[20:])
	if len(work.free) > 0 {
		t.Error("a small buffer is kept")
	}
}
