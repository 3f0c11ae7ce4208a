package load_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mqedge/mqedge/bench/load"
)

func TestConnectionsAreSetUpAndClosed(t *testing.T) {
	s := listen(t)
	var setups load.Setups
	r, err := setups.Run(t.Context(), load.SetupOptions{Options: load.Options{Addr: s.Addrs()[0], Conns: 50}, Workers: 8})
	if err != nil {
		t.Fatal(err)
	}
	if r.OK != 50 || len(r.Failed) != 0 || r.Resumed != 0 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Errorf("%+v, want 50 connections", r)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); s.Stats().Open > 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("connections are left open")
		}
	}
	if got := s.Stats(); got.Connections != 50 {
		t.Errorf("the sink saw %+v", got)
	}
}

func TestSessionsAreResumedFromTheFirstConnectionOfEachWorkerOnAndOnlyWhenAsked(t *testing.T) {
	s := listen(t)
	addr, ca := terminate(t, s.Addrs()[0])
	var setups load.Setups
	opts := load.SetupOptions{Options: load.Options{Addr: addr, CA: ca, ServerName: "soak.test", Conns: 40}, Workers: 4}
	run := func() load.SetupResult {
		t.Helper()
		r, err := setups.Run(t.Context(), opts)
		if err != nil || r.OK != 40 {
			t.Fatalf("%+v, %v; want 40 connections", r, err)
		}
		return r
	}
	if r := run(); r.Resumed != 0 {
		t.Errorf("%d resumed unasked", r.Resumed)
	}
	opts.Resume = true
	if r := run(); r.Resumed < 36 || r.Resumed == 40 {
		t.Errorf("%d resumed, want all but the first of each worker", r.Resumed)
	}
	if r := run(); r.Resumed <= 36 {
		t.Errorf("%d resumed, want the first of each worker too, from the run before", r.Resumed)
	}
}

// terminate is a TLS server that relays to upstream.
func terminate(t *testing.T, upstream string) (addr string, ca []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"soak.test"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { relay(client, upstream) })
		}
	})
	return l.Addr().String(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func relay(client net.Conn, upstream string) {
	defer client.Close()
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(client, server) })
	_, _ = io.Copy(server, client)
	_ = server.Close()
	wg.Wait()
}
