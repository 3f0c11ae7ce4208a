package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

var errMalformed = errors.New("malformed")

// revocations are the revoked certificates of all lists. They are immutable.
//
// Certificates are told apart by issuer name and serial number, as RFC 5280, section 5 does, so several lists of one
// issuer add up.
type revocations struct {
	byIssuer map[string]*serials // by the subject of the CA in DER
	lists    []CRLStatus
}

func loadRevocations(file string, cas *authorities) (*revocations, error) {
	data, err := readFile("client CRL", file)
	if err != nil {
		return nil, err
	}
	r, err := parseRevocations(data, cas.certs)
	if err != nil {
		return nil, fileError("client CRL", file, err, "put complete CRLs there, in PEM or DER, signed by CAs of the client CA file")
	}
	return r, nil
}

func parseRevocations(data []byte, cas []*x509.Certificate) (*revocations, error) {
	r := &revocations{byIssuer: map[string]*serials{}}
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		if err := r.addDER(data, cas); err != nil {
			return nil, err
		}
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		if err := r.addDER(block.Bytes, cas); err != nil {
			return nil, err
		}
	}
	if len(r.lists) == 0 {
		return nil, errors.New("no CRL in it")
	}
	for _, s := range r.byIssuer {
		s.compact()
	}
	return r, nil
}

// addDER adds the lists that follow one another in der.
func (r *revocations) addDER(der []byte, cas []*x509.Certificate) error {
	for len(der) > 0 {
		list, rest, err := parseCRL(der)
		if err != nil {
			return fmt.Errorf("CRL number %d: %w", len(r.lists)+1, err)
		}
		if err := r.add(list, cas); err != nil {
			return fmt.Errorf("CRL number %d, of %s: %w", len(r.lists)+1, list.Issuer, err)
		}
		der = rest
	}
	return nil
}

func (r *revocations) add(list *crl, cas []*x509.Certificate) error {
	signer, err := list.signer(cas)
	if err != nil {
		return err
	}
	if err := list.understood(); err != nil {
		return err
	}
	issuer := string(signer.RawSubject)
	if r.byIssuer[issuer] == nil {
		r.byIssuer[issuer] = &serials{byLength: map[int][]byte{}}
	}
	entries, err := list.each(r.byIssuer[issuer].add)
	if err != nil {
		return err
	}
	r.lists = append(r.lists, CRLStatus{
		Issuer:     list.Issuer.String(),
		Entries:    entries,
		ThisUpdate: list.ThisUpdate,
		NextUpdate: list.NextUpdate,
	})
	return nil
}

// verify is a tls.Config.VerifyConnection. It wants one chain without a revoked certificate, be it the leaf or a CA.
func (r *revocations) verify(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	err := errors.New("client certificate was not verified")
	for _, chain := range cs.VerifiedChains {
		if err = r.verifyChain(chain); err == nil {
			return nil
		}
	}
	return err
}

func (r *revocations) verifyChain(chain []*x509.Certificate) error {
	for _, cert := range chain {
		revoked := r.byIssuer[string(cert.RawIssuer)]
		if revoked != nil && revoked.has(cert.SerialNumber.Bytes()) {
			return fmt.Errorf("%w: %s, serial %x, issued by %s", ErrRevoked, cert.Subject, cert.SerialNumber, cert.Issuer)
		}
	}
	return nil
}

// crl is a list whose entries are not unpacked: x509.ParseRevocationList takes about half a kilobyte for each, which for
// a million of them would dwarf everything else in the process at every reload.
type crl struct {
	*x509.RevocationList        // without entries
	entries              []byte // the contents of revokedCertificates
}

// parseCRL parses the first list in der and returns what follows it. All but the entries is left to crypto/x509, which
// gets the list without them and, to check the signature, the bytes that were signed.
func parseCRL(der []byte) (list *crl, rest []byte, err error) {
	outer, rest, ok := readTagged(der, tagSequence)
	if !ok {
		return nil, nil, errMalformed
	}
	tbs, signature, ok := readTagged(outer.body, tagSequence)
	if !ok {
		return nil, nil, errMalformed
	}

	// TBSCertList: version, signature, issuer, thisUpdate, nextUpdate?, revokedCertificates?, [0] extensions?
	fields := tbs.body
	for range 4 {
		if _, fields, ok = readElement(fields); !ok {
			return nil, nil, errMalformed
		}
	}
	if next, after, ok := readElement(fields); ok && (next.tag == tagUTCTime || next.tag == tagGeneralizedTime) {
		fields = after
	}
	entries, after, found := readTagged(fields, tagSequence)
	remaining := tbs.body
	if found {
		before := tbs.body[:len(tbs.body)-len(fields)]
		remaining = slices.Concat(before, []byte{tagSequence, 0}, after)
	}

	slim, err := sequence(remaining)
	if err != nil {
		return nil, nil, err
	}
	if slim, err = sequence(append(slim, signature...)); err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParseRevocationList(slim)
	if err != nil {
		return nil, nil, err
	}
	if len(parsed.RevokedCertificateEntries) > 0 { // crypto/x509 saw entries where none were seen here
		return nil, nil, errMalformed
	}
	parsed.RawTBSRevocationList = tbs.full
	return &crl{parsed, entries.body}, rest, nil
}

// signer is the CA that signed the list. Its name has to be that of the issuer, in whatever string type.
func (l *crl) signer(cas []*x509.Certificate) (*x509.Certificate, error) {
	err := errors.New("the client CA file has no CA of this name")
	for _, ca := range cas {
		if ca.Subject.String() != l.Issuer.String() {
			continue
		}
		if err = l.CheckSignatureFrom(ca); err == nil {
			return ca, nil
		}
		if errors.As(err, &x509.ConstraintViolationError{}) {
			err = errors.New("the CA's certificate does not allow it to sign CRLs (keyUsage lacks cRLSign)")
		} else {
			err = fmt.Errorf("signature: %w", err)
		}
	}
	return nil, err
}

// understood refuses lists with critical extensions that change what an entry means, as RFC 5280, section 5.2 asks.
// An issuing distribution point (a list of a part of the certificates) does not: its entries are revoked.
func (l *crl) understood() error {
	for _, extension := range l.Extensions {
		switch id := extension.Id.String(); {
		case !extension.Critical || id == "2.5.29.28":
		case id == "2.5.29.27":
			return errors.New("a delta CRL, which is not supported")
		default:
			return fmt.Errorf("critical extension %s is not supported", id)
		}
	}
	return nil
}

// each calls f with the serial number of each entry, as big.Int.Bytes has it, and returns how many entries there are.
func (l *crl) each(f func(serial []byte)) (int, error) {
	n := 0
	for rest := l.entries; len(rest) > 0; n++ {
		var entry element
		var ok bool
		if entry, rest, ok = readTagged(rest, tagSequence); !ok {
			return n, errMalformed
		}
		serial, after, ok := readTagged(entry.body, tagInteger)
		if !ok || len(serial.body) == 0 {
			return n, errMalformed
		}
		_, after, ok = readElement(after) // revocationDate
		if !ok {
			return n, errMalformed
		}
		if extensions, _, ok := readTagged(after, tagSequence); ok && anyCritical(extensions.body) {
			return n, errors.New("an entry with a critical extension (an indirect CRL?), which is not supported")
		}
		if serial.body[0] < 0x80 { // crypto/x509 parses no certificate with a negative number
			f(bytes.TrimLeft(serial.body, "\x00"))
		}
	}
	return n, nil
}

// anyCritical reports whether an extension is critical or cannot be read.
func anyCritical(extensions []byte) bool {
	for len(extensions) > 0 {
		extension, rest, ok := readTagged(extensions, tagSequence)
		if !ok {
			return true
		}
		_, value, ok := readTagged(extension.body, tagOID)
		if !ok {
			return true
		}
		if _, _, ok := readTagged(value, tagBoolean); ok { // present only where it is not the default, false
			return true
		}
		extensions = rest
	}
	return false
}
