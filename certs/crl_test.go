package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqedge/mqedge/certs/ca"
)

// subordinate is a CA below another.
func subordinate(t testing.TB, of *ca.CA) *ca.CA {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          big.NewInt(4711),
		Subject:               pkix.Name{CommonName: "subordinate"},
		NotBefore:             of.Cert.NotBefore,
		NotAfter:              of.Cert.NotAfter,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}, of.Cert, key.Public(), of.Key))
	return &ca.CA{Cert: must[*x509.Certificate](t)(x509.ParseCertificate(der)), Key: key}
}

// signCRL signs whatever the template says.
func signCRL(t testing.TB, by *ca.CA, template x509.RevocationList) []byte {
	t.Helper()
	template.Number = big.NewInt(1)
	if template.ThisUpdate.IsZero() {
		template.ThisUpdate, template.NextUpdate = time.Now(), time.Now().Add(time.Hour)
	}
	return must[[]byte](t)(x509.CreateRevocationList(rand.Reader, &template, by.Cert, by.Key))
}

func TestARevokedCertificateIsRefusedWithAnAlert(t *testing.T) {
	authority, second := newCA(t), newCA(t)
	files := newFolder(t)
	pair := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
	revoked := issue(t, authority, ca.Leaf{CommonName: "lost device", Client: true})
	revokedToo := issue(t, second, ca.Leaf{CommonName: "lost as well", Client: true})
	good := issue(t, authority, ca.Leaf{CommonName: "device", Client: true})
	first, other := crlOf(t, authority, revoked), crlOf(t, second, revokedToo)
	der := func(p []byte) []byte { b, _ := pem.Decode(p); return b.Bytes }

	for form, crl := range map[string][]byte{"PEM": slices.Concat(first, other), "DER": slices.Concat(der(first), der(other))} {
		t.Run(form, func(t *testing.T) {
			store := open(t, Options{
				Certificates:  []KeyPair{pair},
				ClientAuth:    Request,
				ClientCAFile:  files.put("ca.pem", slices.Concat(authority.PEM(), second.PEM())),
				ClientCRLFile: files.put("crl", crl),
			}, nil)
			eachVersion(t, func(t *testing.T, version uint16) {
				for _, device := range []KeyPair{revoked, revokedToo} {
					config := client(t, authority, device)
					config.MaxVersion = version
					c := connect(t, store.ServerConfig(), config)
					if !errors.Is(c.serverErr, ErrRevoked) || !strings.Contains(c.serverErr.Error(), "CN=lost") {
						t.Errorf("server: %v, want %v and who it is", c.serverErr, ErrRevoked)
					}
					if c.clientErr == nil || !strings.Contains(c.clientErr.Error(), "bad certificate") {
						t.Errorf("client: %v, want the alert bad_certificate", c.clientErr)
					}
				}
				config := client(t, authority, good)
				config.MaxVersion = version
				connect(t, store.ServerConfig(), config).ok(t)
				config.Certificates = nil
				connect(t, store.ServerConfig(), config).ok(t)
			})
			if lists := store.Status().CRLs; len(lists) != 2 || lists[0].Entries != 1 || lists[0].Expired {
				t.Errorf("status: %+v", lists)
			}
		})
	}
}

func TestARevokedIntermediateRevokesWhatItIssued(t *testing.T) {
	root := newCA(t)
	below := subordinate(t, root)
	files := newFolder(t)
	device := issue(t, below, ca.Leaf{CommonName: "device", Client: true})
	device.CertPEM = append(device.CertPEM, below.PEM()...)
	crl := must[[]byte](t)(root.CRL(below.Cert.SerialNumber))

	for name, cas := range map[string][]byte{
		"sent by the client":       root.PEM(),
		"itself trusted as a root": slices.Concat(root.PEM(), below.PEM()),
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{
				Certificates:  []KeyPair{issue(t, root, ca.Leaf{DNSNames: []string{"edge.example"}})},
				ClientAuth:    Require,
				ClientCAFile:  files.put("ca.pem", cas),
				ClientCRLFile: files.put("none.crl", crlOf(t, root)),
			}
			connect(t, open(t, o, nil).ServerConfig(), client(t, root, device)).ok(t)
			o.ClientCRLFile = files.put("crl.pem", crl)
			if c := connect(t, open(t, o, nil).ServerConfig(), client(t, root, device)); !errors.Is(c.serverErr, ErrRevoked) {
				t.Errorf("server: %v, want %v", c.serverErr, ErrRevoked)
			}
		})
	}
}

func TestASecondChainWithoutARevokedCAIsEnough(t *testing.T) {
	leaf := &x509.Certificate{RawIssuer: []byte("below"), SerialNumber: big.NewInt(1)}
	revoked := &x509.Certificate{RawIssuer: []byte("old root"), SerialNumber: big.NewInt(2)}
	fine := &x509.Certificate{RawIssuer: []byte("new root"), SerialNumber: big.NewInt(2)}
	list := &serials{byLength: map[int][]byte{}}
	list.add([]byte{2})
	list.compact()
	r := &revocations{byIssuer: map[string]*serials{"old root": list}}

	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	if r.verify(state) == nil {
		t.Error("a certificate that was not verified passes")
	}
	state.VerifiedChains = [][]*x509.Certificate{{leaf, revoked}}
	if err := r.verify(state); !errors.Is(err, ErrRevoked) {
		t.Errorf("one chain with a revoked CA: %v", err)
	}
	state.VerifiedChains = append(state.VerifiedChains, []*x509.Certificate{leaf, fine})
	if err := r.verify(state); err != nil {
		t.Errorf("a second chain without one: %v", err)
	}
}

func TestAnExpiredCRLStaysInUseAndIsReported(t *testing.T) {
	authority := newCA(t)
	files := newFolder(t)
	device := issue(t, authority, ca.Leaf{CommonName: "device", Client: true})
	crl := signCRL(t, authority, x509.RevocationList{
		ThisUpdate:                time.Now().Add(-2 * time.Hour),
		NextUpdate:                time.Now().Add(-time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: pairOf(t, device).Leaf.SerialNumber, RevocationTime: time.Now()}},
	})
	var log bytes.Buffer
	store := must[*Store](t)(Open("mqtts", Options{
		Certificates:  []KeyPair{issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}, NotAfter: time.Now().Add(time.Hour)})},
		ClientAuth:    Require,
		ClientCAFile:  files.put("ca.pem", authority.PEM()),
		ClientCRLFile: files.put("crl.der", crl),
	}, nil, textLog(&log)))

	if c := connect(t, store.ServerConfig(), client(t, authority, device)); !errors.Is(c.serverErr, ErrRevoked) {
		t.Errorf("server: %v, want %v", c.serverErr, ErrRevoked)
	}
	if lists := store.Status().CRLs; !lists[0].Expired {
		t.Errorf("status: %+v", lists)
	}
	if count(&log, "WARN") != 1 || !strings.Contains(log.String(), "client CRL of CN="+authority.Cert.Subject.CommonName+" expired") {
		t.Errorf("log: %s", log.String())
	}
	store.tend(time.Now())
	if count(&log, "WARN") != 1 {
		t.Error("warned of the same twice")
	}
	store.tend(time.Now().Add(2 * time.Hour))
	if count(&log, "WARN") != 2 || !strings.Contains(log.String(), "the certificate of ") {
		t.Errorf("no warning of the expired server certificate: %s", log.String())
	}
}

func TestACRLThatCannotBeTrustedOrUnderstoodIsRefused(t *testing.T) {
	authority, namesake := newCA(t), newCA(t)
	namesake.Cert.Subject, namesake.Cert.RawSubject = authority.Cert.Subject, authority.Cert.RawSubject
	noSign := newCA(t)
	noSign.Cert.KeyUsage = x509.KeyUsageCertSign
	mayNot := *noSign.Cert
	noSign.Cert.KeyUsage |= x509.KeyUsageCRLSign
	critical := func(id ...int) []pkix.Extension {
		return []pkix.Extension{{Id: id, Critical: true, Value: []byte{0x30, 0}}}
	}
	entry := x509.RevocationListEntry{SerialNumber: big.NewInt(1), RevocationTime: time.Now(), ExtraExtensions: critical(2, 5, 29, 29)}

	for _, test := range []struct {
		what, want string
		crl        []byte
	}{
		{"signed by another key", "signature", signCRL(t, namesake, x509.RevocationList{})},
		{"by a CA that may not", "keyUsage", signCRL(t, noSign, x509.RevocationList{})},
		{"a delta", "delta", signCRL(t, authority, x509.RevocationList{ExtraExtensions: critical(2, 5, 29, 27)})},
		{"unknown", "1.2.3.4", signCRL(t, authority, x509.RevocationList{ExtraExtensions: critical(1, 2, 3, 4)})},
		{"indirect", "indirect", signCRL(t, authority, x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{entry}})},
		{"partitioned, which is fine", "", signCRL(t, authority, x509.RevocationList{ExtraExtensions: critical(2, 5, 29, 28)})},
		{"cut off", "malformed", signCRL(t, authority, x509.RevocationList{})[:100]},
		{"nothing", "no CRL", nil},
	} {
		_, err := parseRevocations(test.crl, []*x509.Certificate{authority.Cert, &mayNot})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.what, err, test.want)
		}
	}
}

func TestSerialNumbersOfAnyLengthAreFoundAndTakeOnlyTheirBytes(t *testing.T) {
	const n = 20_000
	set := &serials{byLength: map[int][]byte{}}
	odd := func(i int64) []byte { return new(big.Int).Exp(big.NewInt(2*i+1), big.NewInt(7), nil).Bytes() } // 1 to 14 bytes
	size := 0
	for i := range int64(n) {
		set.add(odd(n - 1 - i))
		size += len(odd(i))
	}
	set.add(nil) // the number zero
	set.compact()
	for i := range int64(n) {
		if !set.has(odd(i)) {
			t.Fatalf("number %d is lost", i)
		}
		if even := new(big.Int).Add(new(big.Int).SetBytes(odd(i)), big.NewInt(1)); set.has(even.Bytes()) {
			t.Fatalf("%s was never added", even)
		}
	}
	if !set.has(big.NewInt(0).Bytes()) {
		t.Error("zero is lost")
	}
	held := 0
	for _, numbers := range set.byLength {
		held += cap(numbers)
	}
	if held > size {
		t.Errorf("%d bytes held for %d of numbers", held, size)
	}
}

func FuzzACRLIsReadAsCryptoX509ReadsIt(f *testing.F) {
	authority := newCA(f)
	entries := []x509.RevocationListEntry{
		{SerialNumber: big.NewInt(0), RevocationTime: time.Unix(1e9, 0)},
		{SerialNumber: big.NewInt(255), RevocationTime: time.Unix(1e9, 0), ReasonCode: 1},
		{SerialNumber: new(big.Int).Lsh(big.NewInt(3), 150), RevocationTime: time.Unix(3e9, 0)},
	}
	one := signCRL(f, authority, x509.RevocationList{RevokedCertificateEntries: entries})
	f.Add(one)
	f.Add(append(one, signCRL(f, authority, x509.RevocationList{})...))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: one}))
	f.Fuzz(func(t *testing.T, data []byte) {
		parseRevocations(data, []*x509.Certificate{authority.Cert})

		want, wantErr := x509.ParseRevocationList(data)
		got, _, err := parseCRL(data)
		if wantErr == nil && err != nil {
			t.Fatalf("crypto/x509 reads what is refused here: %v", err)
		}
		if wantErr != nil || err != nil {
			return
		}
		if !bytes.Equal(got.RawTBSRevocationList, want.RawTBSRevocationList) || !bytes.Equal(got.Signature, want.Signature) {
			t.Fatal("the signature is over something else")
		}
		if !got.NextUpdate.Equal(want.NextUpdate) || len(got.Extensions) != len(want.Extensions) {
			t.Fatal("fields got lost with the entries")
		}
		var read, all [][]byte
		n, err := got.each(func(serial []byte) { read = append(read, bytes.Clone(serial)) })
		if err != nil {
			if errors.Is(err, errMalformed) {
				t.Fatal("crypto/x509 reads entries that are refused here")
			}
			return // a critical extension
		}
		for _, entry := range want.RevokedCertificateEntries {
			if entry.SerialNumber.Sign() >= 0 {
				all = append(all, entry.SerialNumber.Bytes())
			}
		}
		if n != len(want.RevokedCertificateEntries) || !slices.EqualFunc(read, all, bytes.Equal) {
			t.Fatalf("read %x of %d, want %x", read, n, all)
		}
	})
}

func BenchmarkLoadingAMillionRevocations(b *testing.B) {
	const n = 1_000_000
	authority := newCA(b)
	// x509.CreateRevocationList would take minutes: entries are put into an empty list, which is then signed anew.
	list, _, err := parseCRL(signCRL(b, authority, x509.RevocationList{}))
	if err != nil {
		b.Fatal(err)
	}
	type entry struct {
		Serial *big.Int
		Date   time.Time
	}
	var entries []byte
	serial := make([]byte, 16)
	for range n {
		rand.Read(serial)
		entries = append(entries, must[[]byte](b)(asn1.Marshal(entry{new(big.Int).SetBytes(serial), time.Unix(1e9, 0)}))...)
	}
	tbs, _, _ := readElement(list.RawTBSRevocationList)
	var head, tail []byte
	for rest := tbs.body; len(rest) > 0; {
		var field element
		field, rest, _ = readElement(rest)
		if field.tag == 0xa0 {
			tail = field.full
		} else {
			head = append(head, field.full...)
		}
	}
	sequenceOf := func(parts ...[]byte) []byte { return must[[]byte](b)(sequence(slices.Concat(parts...))) }
	signed := sequenceOf(head, sequenceOf(entries), tail)
	digest := sha256.Sum256(signed)
	signature := must[[]byte](b)(authority.Key.Sign(rand.Reader, digest[:], crypto.SHA256))
	_, afterVersion, _ := readElement(tbs.body)
	algorithm, _, _ := readElement(afterVersion)
	bits := must[[]byte](b)(asn1.Marshal(asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}))
	der := sequenceOf(signed, algorithm.full, bits)

	b.ReportAllocs()
	for b.Loop() {
		r, err := parseRevocations(der, []*x509.Certificate{authority.Cert})
		if err != nil {
			b.Fatal(err)
		}
		held := 0
		for _, numbers := range r.byIssuer[string(authority.Cert.RawSubject)].byLength {
			held += cap(numbers)
		}
		b.ReportMetric(float64(held)/n, "held-B/entry")
	}
}
