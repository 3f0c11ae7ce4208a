package certs

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	secretSize    = 32
	mostSecrets   = 4 // each is four more keys to try a ticket with
	secretsRemedy = "write one secret a line, at most 4, each the output of openssl rand -base64 32"
)

// secrets are what a file of them holds; tickets are written with the first and read with all.
//
// The keys follow from a secret and the number of the 12 hours since the Unix epoch alone, so all who have the file agree
// on them without a word. A key writes for 12 hours and reads for 24 more, and for 12 before, because another's clock may
// be ahead: with clocks in step a ticket is good for at least 24 hours and at most 36.
type secrets [][]byte

func (s secrets) at(now time.Time) ([][32]byte, uint64) {
	current := now.Unix() / int64(defaultRotation/time.Second)
	var keys [][32]byte
	for _, period := range []int64{current, current - 1, current - oldKeys, current + 1} {
		for _, secret := range s {
			keys = append(keys, derive(secret, period))
		}
	}
	return keys, uint64(current) + 1 // 0 stands for no keys
}

func derive(secret []byte, period int64) [32]byte {
	return deriveFor(secret, strconv.FormatInt(period, 10))
}

func deriveFor(secret []byte, purpose string) [32]byte {
	key, err := hkdf.Key(sha256.New, secret, nil, "mqedge session tickets "+purpose, 32)
	if err != nil { // only for a length above 255 hashes, or in FIPS mode for a short secret
		panic(err)
	}
	return [32]byte(key)
}

func loadSecrets(file string) (secrets, error) {
	data, err := readFile("ticket keys file", file)
	if err != nil {
		return nil, err
	}
	s, err := parseSecrets(data)
	if err != nil {
		return nil, fileError("ticket keys file", file, err, secretsRemedy)
	}
	return s, nil
}

// parseSecrets says nothing of what a line holds: errors are logged.
func parseSecrets(data []byte) (secrets, error) {
	var s secrets
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		secret, err := base64.StdEncoding.AppendDecode(nil, line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: not base64", number)
		case len(secret) != secretSize:
			return nil, fmt.Errorf("line %d: %d bytes instead of %d", number, len(secret), secretSize)
		case len(s) == mostSecrets:
			return nil, fmt.Errorf("line %d: more than %d secrets", number, mostSecrets)
		}
		s = append(s, secret)
	}
	if len(s) == 0 {
		return nil, errors.New("no secret in it")
	}
	return s, nil
}

// createSecrets makes the file, with a new secret that nobody else can read, unless there is one.
func createSecrets(file string) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return nil // loading it tells what is wrong with it
	}
	if err := publishSecret(file); err != nil && !errors.Is(err, fs.ErrExist) {
		if link, ok := errors.AsType[*os.LinkError](err); ok {
			err = link.Err
		}
		return fileError("missing ticket keys file", file, err,
			"create a folder for it that the user this process runs as can write in, or the file itself: openssl rand -base64 32")
	}
	return nil
}

func publishSecret(file string) error {
	temp, err := os.CreateTemp(filepath.Dir(file), ".ticket-keys-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	secret := make([]byte, secretSize)
	rand.Read(secret) // never fails: see crypto/rand
	_, err = temp.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Link(temp.Name(), file) // fails when another process was faster, whose secret a rename would replace
}
