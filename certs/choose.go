package certs

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
)

// chooser finds the certificate for a handshake. It is immutable.
type chooser struct {
	exact    map[string][]*tls.Certificate // by name in lower case
	wildcard map[string][]*tls.Certificate // *.example.com by example.com
	fallback []*tls.Certificate            // the first certificate and those sharing its first name
}

// newChooser wants at least one certificate, each with its Leaf.
func newChooser(all []*tls.Certificate) *chooser {
	c := &chooser{exact: map[string][]*tls.Certificate{}, wildcard: map[string][]*tls.Certificate{}}
	for _, cert := range all {
		for _, name := range names(cert.Leaf) {
			group, key := c.group(name)
			if !slices.Contains(group[key], cert) {
				group[key] = append(group[key], cert)
			}
		}
	}
	for _, groups := range []map[string][]*tls.Certificate{c.exact, c.wildcard} {
		for _, group := range groups {
			slices.SortStableFunc(group, ecdsaFirst)
		}
	}
	c.fallback = all[:1]
	if first := names(all[0].Leaf); len(first) > 0 {
		group, key := c.group(first[0])
		c.fallback = group[key]
	}
	return c
}

func (c *chooser) group(name string) (map[string][]*tls.Certificate, string) {
	name = strings.ToLower(name)
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		return c.wildcard, rest
	}
	return c.exact, name
}

// names are those of the SANs; the common name counts only when there are no SANs at all.
func names(leaf *x509.Certificate) []string {
	if len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses)+len(leaf.URIs) == 0 && leaf.Subject.CommonName != "" {
		return []string{leaf.Subject.CommonName}
	}
	return leaf.DNSNames
}

func ecdsaFirst(a, b *tls.Certificate) int {
	rank := func(c *tls.Certificate) int {
		if _, ok := c.Leaf.PublicKey.(*ecdsa.PublicKey); ok {
			return 0
		}
		return 1
	}
	return rank(a) - rank(b)
}

// choose is a tls.Config.GetCertificate.
func (c *chooser) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(hello.ServerName)
	_, parent, _ := strings.Cut(name, ".")

	// Whether a name fits is settled by the maps, and the fallback need not fit at all.
	nameless := *hello
	nameless.ServerName = ""

	var best *tls.Certificate
	for _, group := range [...][]*tls.Certificate{c.exact[name], c.wildcard[parent], c.fallback} {
		for _, cert := range group {
			if nameless.SupportsCertificate(cert) == nil {
				return cert, nil
			}
			if best == nil {
				best = cert
			}
		}
	}
	return best, nil // the client can use none: crypto/tls tells it so with the proper alert
}
