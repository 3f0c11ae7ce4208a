package record

import (
	"crypto/tls"
	"fmt"
	"testing"
)

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{200, MaxPayload} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			_, client := newPeers(b, tls.TLS_AES_128_GCM_SHA256)
			text, sealed := payload(size), []byte(nil)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				sealed = client.Seal(sealed[:0], text)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{200, MaxPayload} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			server, client := newPeers(b, tls.TLS_AES_128_GCM_SHA256)
			sealed := client.Seal(nil, payload(size))
			plain, work := make([]byte, 0, MaxRecord), new(Work)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				server.read.seq = 0
				if _, err := server.Open(plain, sealed, work); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWake is a keepalive of a connection that sleeps in between.
func BenchmarkWake(b *testing.B) {
	server, client := newPeers(b, tls.TLS_AES_128_GCM_SHA256)
	ping := client.Seal(nil, []byte{0xc0, 0})
	plain, sealed, work := make([]byte, 0, 100), make([]byte, 0, 100), new(Work)
	b.ReportAllocs()
	for b.Loop() {
		server.read.seq, server.write.seq = 0, 0
		var err error
		if plain, err = server.Open(plain[:0], ping, work); err != nil {
			b.Fatal(err)
		}
		sealed = server.Seal(sealed[:0], plain)
		server.Sleep()
	}
}
