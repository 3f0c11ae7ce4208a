package certs

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/certs/ca"
)

// secretLine is a line of a file of secrets.
func secretLine(fill byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, secretSize)) + "\n"
}

// reopen stands for a new process: it shares nothing with other stores but files.
func reopen(t testing.TB, o Options) *Store { return open(t, o, nil) }

func TestSessionsResumeWithEveryStoreOfTheSameFile(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		m.o.TicketKeysFile = m.file("keys") // made by the first
		config := resuming(t, m.authority, m.device, version)
		first := reopen(t, m.o)
		connect(t, first.ServerConfig(), config).ok(t)
		second := reopen(t, m.o)
		c := connect(t, second.ServerConfig(), config).ok(t)
		if !c.resumed() || len(c.server.ConnectionState().VerifiedChains) == 0 {
			t.Error("not resumed with a second store, or without the client's certificate")
		}
		if !connect(t, first.ServerConfig(), config).ok(t).resumed() {
			t.Error("the first store does not resume what the second began")
		}
		m.o.TicketKeysFile = m.put("other", []byte(secretLine(1)))
		if connect(t, reopen(t, m.o).ServerConfig(), config).ok(t).resumed() {
			t.Error("resumed with another secret")
		}
	})
}

func TestATicketIsOnlyReadUnderTheRuleItWasGivenUnderWhoeverHasTheFile(t *testing.T) {
	m, other := newMutual(t), newCA(t)
	m.o.TicketKeysFile = m.put("keys", []byte(secretLine(1)))
	one, two := m.o.ClientCAFile, m.put("both.pem", slices.Concat(other.PEM(), m.authority.PEM()))
	rules := []struct {
		auth    ClientAuth
		cas     string
		revokes bool
	}{
		{None, "", false}, {Request, one, false}, {Request, two, false},
		{Require, one, false}, {Require, two, false}, {Require, one, true},
	}
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, from := range rules {
			for _, to := range rules {
				config := resuming(t, m.authority, m.device, version)
				connect(t, reopen(t, m.under(from.auth, from.cas, from.revokes)).ServerConfig(), config).ok(t)
				c := connect(t, reopen(t, m.under(to.auth, to.cas, to.revokes)).ServerConfig(), config).ok(t)
				same := from.auth == to.auth && from.cas == to.cas // a CRL is no part of it, it is looked at anyway
				verified := len(c.server.ConnectionState().VerifiedChains) > 0
				if c.resumed() != same || verified != (to.auth != None) {
					t.Errorf("a ticket of %v for %v: resumed: %v, client verified: %v", from, to, c.resumed(), verified)
				}
			}
		}
	})
}

// under is m.o with this rule for client certificates.
func (m mutual) under(auth ClientAuth, cas string, revokes bool) Options {
	o := m.o
	o.ClientAuth, o.ClientCAFile = auth, cas
	if !revokes {
		o.ClientCRLFile = ""
	}
	return o
}

func TestACertificateRevokedBetweenTwoProcessesIsRefusedInAResumedSession(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		m.o.TicketKeysFile = m.file("keys")
		config := resuming(t, m.authority, m.device, version)
		connect(t, reopen(t, m.o).ServerConfig(), config).ok(t)
		m.put("crl.pem", crlOf(t, m.authority, m.device))
		c := connect(t, reopen(t, m.o).ServerConfig(), config)
		if c.serverErr == nil || !c.server.ConnectionState().DidResume {
			t.Errorf("server: %v, resumed: %v", c.serverErr, c.server.ConnectionState().DidResume)
		}
	})
}

func TestTicketKeysAreAFunctionOfSecretAndTime(t *testing.T) {
	secret := make([]byte, secretSize)
	for i := range secret {
		secret[i] = byte(i)
	}
	key := derive(secret, 41270)
	// HKDF-SHA256, RFC 5869. Another value would cost everybody a full handshake with a new version of the program.
	if got := hex.EncodeToString(key[:]); got != "f6efc8db0f6d3bae32230ad5c379824f2ca1b47aaa5a7d623ba61205d3da4627" {
		t.Errorf("got %s", got)
	}
	second := bytes.Repeat([]byte{7}, secretSize)
	start := time.Unix(41270*12*3600, 0)
	for _, now := range []time.Time{start, start.Add(12*time.Hour - 1)} {
		keys, generation := secrets{secret, second}.at(now)
		var want [][32]byte
		for _, period := range []int64{41270, 41269, 41268, 41271} {
			want = append(want, derive(secret, period), derive(second, period))
		}
		if !slices.Equal(keys, want) || generation != 41271 {
			t.Errorf("at %v: generation %d and other keys than expected", now, generation)
		}
	}
	if _, generation := (secrets{secret}).at(time.Unix(0, 0)); generation == 0 {
		t.Error("a clock that was never set leaves the choice of keys to crypto/tls")
	}
}

func TestATicketOfAFileIsGoodForTwoPeriodsMoreAndForAClockThatIsBehind(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		m.o.TicketKeysFile = m.file("keys")
		for periods, want := range map[time.Duration]bool{-2: false, -1: true, 0: true, 1: true, 2: true, 3: false} {
			config := resuming(t, m.authority, m.device, version)
			connect(t, reopen(t, m.o).ServerConfig(), config).ok(t)
			later := reopen(t, m.o)
			later.tend(time.Now().Add(periods * 12 * time.Hour))
			if got := connect(t, later.ServerConfig(), config).ok(t).resumed(); got != want {
				t.Errorf("%d periods later: resumed: %v", periods, got)
			}
		}
	})
}

func TestSecretsAreRolledOverWithoutAFullHandshake(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		m := newMutual(t)
		m.o.TicketKeysFile = m.put("keys", []byte(secretLine(1)))
		store := reopen(t, m.o)
		config := resuming(t, m.authority, m.device, version)
		connect(t, store.ServerConfig(), config).ok(t)
		for _, step := range []struct {
			file    string
			resumed bool
		}{
			{secretLine(1) + secretLine(2), true},
			{secretLine(2) + secretLine(1), true}, // the ticket is of the first secret, the next one of the second
			{secretLine(2), true},
			{secretLine(3), false},
		} {
			m.put("keys", []byte(step.file))
			store.reload()
			if got := connect(t, store.ServerConfig(), config).ok(t).resumed(); got != step.resumed {
				t.Errorf("with %q: resumed: %v", step.file, got)
			}
		}
	})
}

func TestABrokenTicketKeysFileKeepsTheKeysAndIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, files := newCA(t), newFolder(t)
		o := Options{
			Certificates:   []KeyPair{issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})},
			TicketKeysFile: files.put("keys", []byte(secretLine(1))),
		}
		<-time.After(12*time.Hour - time.Minute) // a bubble's time begins with a period
		store := reopen(t, o)
		defer start(t, store)()
		inUse := store.current.Load()
		began := inUse.generation
		for _, broken := range []string{secretLine(1) + "broken\n", ""} {
			files.put("keys", []byte(broken))
			<-time.After(2 * time.Second)
			synctest.Wait()
			if status := store.Status(); store.current.Load() != inUse || !strings.Contains(status.Error, files.file("keys")) {
				t.Errorf("%q: %+v", broken, status)
			}
		}
		os.Remove(files.file("keys"))
		<-time.After(2 * time.Minute) // tried again meanwhile, and into the next period
		synctest.Wait()
		if _, want := (secrets{}).at(time.Now()); store.current.Load() != inUse || inUse.generation != want || want == began {
			t.Error("without the file the keys do not follow the clock any more")
		}
		if _, err := os.Stat(files.file("keys")); err == nil {
			t.Error("a file that was taken away came back by itself")
		}
		files.put("keys", []byte(secretLine(2)))
		<-time.After(2 * time.Second)
		synctest.Wait()
		read := store.current.Load().tickets.(secrets)
		if store.Status().Error != "" || !bytes.Equal(read[0], bytes.Repeat([]byte{2}, secretSize)) {
			t.Errorf("not healed: %s", store.Status().Error)
		}
	})
}

func TestAMissingTicketKeysFileIsMadeOnceForItsOwnerAlone(t *testing.T) {
	files := newFolder(t)
	var all sync.WaitGroup
	got := make([]secrets, 16)
	for i := range got {
		all.Go(func() {
			if err := createSecrets(files.file("keys")); err != nil {
				t.Error(err)
			}
			var err error
			if got[i], err = loadSecrets(files.file("keys")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, s := range got {
		if len(s) != 1 || len(got[0]) != 1 || !bytes.Equal(s[0], got[0][0]) || bytes.Equal(s[0], make([]byte, secretSize)) {
			t.Fatal("not one secret for all")
		}
	}
	if mode := must[os.FileInfo](t)(os.Stat(files.file("keys"))).Mode(); mode != 0o600 {
		t.Errorf("mode %v", mode)
	}
	if left := must[[]os.DirEntry](t)(os.ReadDir(files.path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAnUnusableTicketKeysFileIsNamedWithLineAndRemedy(t *testing.T) {
	files := newFolder(t)
	pair := issue(t, newCA(t), ca.Leaf{DNSNames: []string{"edge.example"}})
	if err := os.Symlink("nowhere", files.file("dangling")); err != nil {
		t.Fatal(err)
	}
	const remedy = ": write one secret a line, at most 4, each the output of openssl rand -base64 32"
	for name, want := range map[string]string{
		"\n \n":                               "no secret in it" + remedy,
		secretLine(1) + "\r\n" + "a secret\n": "line 3: not base64" + remedy,
		secretLine(1) + "AAAA":                "line 2: 3 bytes instead of 32" + remedy,
		strings.TrimSpace(secretLine(1)) + secretLine(1):              "line 1: not base64" + remedy,
		strings.Repeat(secretLine(1), mostSecrets) + secretLine(2):    "line 5: more than 4 secrets" + remedy,
		strings.ReplaceAll(secretLine(255), "/", "_") + secretLine(1): "line 1: not base64" + remedy,
	} {
		file := files.put("keys", []byte(name))
		_, err := Open("mqtts", Options{Certificates: []KeyPair{pair}, TicketKeysFile: file}, nil, quiet)
		if err == nil || err.Error() != "TLS of mqtts: ticket keys file "+file+": "+want {
			t.Errorf("%q: %v", name, err)
		}
	}
	for file, want := range map[string]string{
		files.path:             "ticket keys file %: not a regular file: give the path",
		files.file("no/keys"):  "missing ticket keys file %: no such file or directory: create a folder for it that the user this",
		files.file("keys/x"):   "ticket keys file %: not a directory: make it readable",
		files.file("dangling"): "ticket keys file %: no such file or directory: create it or correct the path",
	} {
		_, err := Open("mqtts", Options{Certificates: []KeyPair{pair}, TicketKeysFile: file}, nil, quiet)
		if err == nil || !strings.HasPrefix(err.Error(), "TLS of mqtts: "+strings.ReplaceAll(want, "%", file)) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func FuzzAFileOfSecretsIsReadAsItSaysOrRefusedWithoutShowingIt(f *testing.F) {
	f.Add([]byte(secretLine(1) + "\r\n" + secretLine(2)))
	f.Add([]byte(strings.Repeat(secretLine(3), mostSecrets+1)))
	f.Add([]byte("AAAA\nnot base64\n"))
	reasons := regexp.MustCompile(`^(line \d+: (not base64|\d+ bytes instead of 32|more than 4 secrets)|no secret in it)$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := parseSecrets(data)
		if err != nil {
			if read != nil || !reasons.MatchString(err.Error()) {
				t.Errorf("%d secrets, %v", len(read), err)
			}
			return
		}
		if len(read) == 0 || len(read) > mostSecrets {
			t.Fatalf("%d secrets", len(read))
		}
		var lines strings.Builder
		for _, secret := range read {
			lines.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n")
		}
		again, err := parseSecrets([]byte(lines.String()))
		if err != nil || !slices.EqualFunc(again, read, bytes.Equal) {
			t.Errorf("written out: %v", err)
		}
	})
}
