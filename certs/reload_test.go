package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/certs/ca"
)

// start runs a store until the function it returns is called.
func start(t testing.TB, store interface{ Run(context.Context) error }) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- store.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// publish is how the kubelet writes a volume: a new folder, and one rename that makes ..data lead there.
func publish(f *folder, version string, pair KeyPair) {
	f.t.Helper()
	check := func(err error) {
		f.t.Helper()
		if err != nil {
			f.t.Fatal(err)
		}
	}
	old, _ := os.Readlink(f.file("..data"))
	check(os.Mkdir(f.file(version), 0o755))
	f.put(version+"/tls.crt", pair.CertPEM)
	f.put(version+"/tls.key", pair.KeyPEM)
	check(os.Symlink(version, f.file("..data_tmp")))
	check(os.Rename(f.file("..data_tmp"), f.file("..data")))
	if old != "" {
		check(os.RemoveAll(f.file(old)))
		return
	}
	check(os.Symlink("..data/tls.crt", f.file("tls.crt")))
	check(os.Symlink("..data/tls.key", f.file("tls.key")))
}

func TestAKubernetesSymlinkSwapReachesNewHandshakesAndNoLiveConnection(t *testing.T) {
	authority := newCA(t)
	before := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
	after := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
	files := newFolder(t)
	publish(files, "..2026_1", before)
	store := open(t, Options{Certificates: []KeyPair{{CertFile: files.file("tls.crt"), KeyFile: files.file("tls.key")}}}, nil)
	store.poll = 5 * time.Millisecond
	defer start(t, store)()

	config := store.ServerConfig()
	live := connect(t, config, client(t, authority, KeyPair{})).ok(t)
	if live.shown() != serialOf(t, before) {
		t.Fatal("not the first certificate")
	}
	publish(files, "..2026_2", after)
	eventually(t, "the new certificate is shown", func() bool {
		return connect(t, config, client(t, authority, KeyPair{})).ok(t).shown() == serialOf(t, after)
	})

	for _, way := range []struct{ from, to *tls.Conn }{{live.client, live.server}, {live.server, live.client}} {
		if _, err := way.from.Write([]byte("still here")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 10)
		if _, err := io.ReadFull(way.to, got); err != nil || string(got) != "still here" {
			t.Errorf("the live connection got %q, %v", got, err)
		}
	}
}

func TestATornStateKeepsTheOldCertificateUntilTheKeyFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := newCA(t)
		before := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
		after := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
		files := newFolder(t)
		var log bytes.Buffer
		store := must[*Store](t)(Open("mqtts", Options{Certificates: []KeyPair{files.putPair("tls", before)}}, nil, textLog(&log)))
		loadedAt := store.Status().LoadedAt
		defer start(t, store)()

		files.put("tls.pem", after.CertPEM)
		<-time.After(10 * time.Second)
		synctest.Wait()
		status := store.Status()
		if status.Certificates[0].Serial != serialOf(t, before) || !strings.Contains(status.Error, files.file("tls.key")) ||
			!strings.Contains(status.Error, "does not match") || !status.LoadedAt.Equal(loadedAt) {
			t.Errorf("torn: %+v", status)
		}
		if since := time.Since(status.ErrorSince); since < 8*time.Second || since > 10*time.Second {
			t.Errorf("broken since %s", since)
		}
		if count(&log, "ERROR") != 1 || !strings.Contains(log.String(), files.file("tls.key")) {
			t.Errorf("log: %s", log.String())
		}

		files.put("tls.key", after.KeyPEM)
		<-time.After(2 * time.Second)
		synctest.Wait()
		status = store.Status()
		if status.Certificates[0].Serial != serialOf(t, after) || status.Error != "" || !status.ErrorSince.IsZero() || status.LoadedAt.Equal(loadedAt) {
			t.Errorf("whole: %+v", status)
		}
		if count(&log, "ERROR") != 1 || count(&log, "INFO") != 1 || !strings.Contains(log.String(), "good again") {
			t.Errorf("log: %s", log.String())
		}
	})
}

func TestBrokenFilesOfAnyKindKeepTheOldAndHealWithoutARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMutual(t)
		m.o.Certificates = []KeyPair{m.putPair("tls", m.o.Certificates[0])}
		foreign := crlOf(t, newCA(t))
		var log bytes.Buffer
		store := must[*Store](t)(Open("mqtts", m.o, nil, textLog(&log)))
		inUse := store.current.Load()
		defer start(t, store)()

		for i, test := range []struct {
			name   string
			broken []byte // nil: removed
		}{
			{"tls.pem", []byte("garbage")},
			{"tls.key", nil},
			{"ca.pem", []byte{}},
			{"crl.pem", foreign},
			{"crl.pem", []byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")},
		} {
			good := must[[]byte](t)(os.ReadFile(m.file(test.name)))
			if test.broken == nil {
				os.Remove(m.file(test.name))
			} else {
				m.put(test.name, test.broken)
			}
			<-time.After(3 * time.Minute) // tried again meanwhile, and not logged again
			synctest.Wait()
			if store.current.Load() != inUse || !strings.Contains(store.Status().Error, m.file(test.name)) {
				t.Errorf("%s: %s", test.name, store.Status().Error)
			}
			if count(&log, "ERROR") != i+1 {
				t.Errorf("%s: log: %s", test.name, log.String())
			}
			m.put(test.name, good)
			<-time.After(2 * time.Second)
			synctest.Wait()
			if store.current.Load() == inUse || store.Status().Error != "" {
				t.Errorf("%s: not healed: %s", test.name, store.Status().Error)
			}
			inUse = store.current.Load()
		}
	})
}

func TestFilesThatStillChangeAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := newFolder(t)
		file := files.put("file", []byte("0"))
		var loads atomic.Int32
		r := must[*reloader[int]](t)(newReloader("", quiet, []string{file, ""}, func() (*int, error) {
			loads.Add(1)
			return new(int), nil
		}))
		defer start(t, running{r})()
		<-time.After(pollInterval / 2) // so that each change lies between two polls
		for range 20 {
			files.put("file", []byte("1"))
			<-time.After(pollInterval)
		}
		synctest.Wait()
		if n := loads.Load(); n != 1 {
			t.Errorf("loaded %d times while the file changed", n-1)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if n := loads.Load(); n != 2 {
			t.Errorf("loaded %d times after it held still, want once", n-1)
		}
	})
}

func TestAFailureNoFileChangeEndsIsTriedAgainEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := newFolder(t)
		file := files.put("file", []byte("0"))
		var failing atomic.Bool
		var loads atomic.Int32
		r := must[*reloader[int]](t)(newReloader("", quiet, []string{file}, func() (*int, error) {
			loads.Add(1)
			if failing.Load() {
				return nil, errors.New("too many open files")
			}
			return new(int), nil
		}))
		defer start(t, running{r})()
		failing.Store(true)
		files.put("file", []byte("1"))
		<-time.After(10*time.Minute + 30*time.Second)
		synctest.Wait()
		if n := loads.Load(); n < 10 || n > 13 {
			t.Errorf("%d loads in ten minutes", n)
		}
		failing.Store(false)
		<-time.After(time.Minute)
		synctest.Wait()
		if r.failure() != nil {
			t.Error("not tried again")
		}
	})
}

// running gives a reloader the Run that start wants.
type running struct{ *reloader[int] }

func (r running) Run(ctx context.Context) error {
	r.run(ctx, func(time.Time) {})
	return nil
}

func TestPermissionsCountAsAChange(t *testing.T) {
	files := newFolder(t)
	file := files.put("file", nil)
	before := identify([]string{file})
	if !before.same(identify([]string{file})) {
		t.Fatal("differs from itself")
	}
	if err := os.Chmod(file, 0o400); err != nil {
		t.Fatal(err)
	}
	if before.same(identify([]string{file})) {
		t.Error("chmod went unnoticed")
	}
}

func TestStatusTellsWhatIsInUseInPlainJSON(t *testing.T) {
	m := newMutual(t)
	pair := issue(t, m.authority, ca.Leaf{CommonName: "edge", DNSNames: []string{"edge.example", "*.edge.example"}, RSA: true})
	m.o.Certificates = append([]KeyPair{m.putPair("tls", pair)}, m.o.Certificates...)
	status := open(t, m.o, nil).Status()
	leaf := pairOf(t, pair).Leaf
	cert := status.Certificates[0]
	if cert.CertFile != m.file("tls.pem") || cert.KeyFile != m.file("tls.key") || cert.Subject != "CN=edge" ||
		cert.Issuer != m.authority.Cert.Subject.String() || cert.KeyType != "RSA 2048" || !cert.NotAfter.Equal(leaf.NotAfter) {
		t.Errorf("%+v", cert)
	}
	if status.Certificates[1].KeyType != "ECDSA P-256" || status.Certificates[1].CertFile != "" || status.CAs != 1 || len(status.CRLs) != 1 {
		t.Errorf("%+v", status)
	}
	text := string(must[[]byte](t)(json.Marshal(status)))
	for _, want := range []string{`"name":"mqtts"`, `"dns_names":["edge.example","*.edge.example"]`, `"cas":1`, `"error":""`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
	if strings.Contains(text, "error_since") || strings.Contains(text, "null") {
		t.Error(text)
	}
}
