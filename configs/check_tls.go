package configs

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

func (c *checker) tls(t *TLS, path string) {
	for i, certificate := range t.Certificates {
		at := fmt.Sprintf("%s.certificates[%d]", path, i)
		c.keyPair(certificate.CertFile, certificate.KeyFile, at)
	}
	c.tlsVersions(t, path)
	for i, name := range t.CipherSuites {
		insecure := slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.Name == name })
		if insecure {
			c.warnf(fmt.Sprintf("%s.cipher_suites[%d]", path, i), "%s is insecure: keep it only for devices that know nothing better", name)
		}
	}
	c.clientCertificates(t, path)
	if t.TicketKeysFile != "" {
		c.ticketKeys(t.TicketKeysFile, path+".ticket_keys_file")
	}
}

func (c *checker) tlsVersions(t *TLS, path string) {
	for _, v := range []struct{ key, version string }{{"min_version", t.MinVersion}, {"max_version", t.MaxVersion}} {
		if v.version == "1.0" || v.version == "1.1" {
			c.warnf(path+"."+v.key, "TLS %s is insecure: keep it only as long as old devices need it", v.version)
		}
	}
	if t.MaxVersion != "" && t.MaxVersion < t.MinVersion && !c.failed(path+".min_version") {
		c.errorf(path+".max_version", "%s is below min_version, %s: no client could connect", t.MaxVersion, t.MinVersion)
	}
	if t.MinVersion == "1.3" && len(t.CipherSuites) > 0 {
		c.warnf(path+".cipher_suites", "has no effect with min_version 1.3, whose suites cannot be chosen: remove it")
	}
}

func (c *checker) clientCertificates(t *TLS, path string) {
	caPath, crlPath := path+".client_ca_file", path+".client_crl_file"
	if t.ClientCAFile == "" {
		switch {
		case c.failed(caPath):
		case t.ClientAuth == "require":
			c.errorf(path+".client_auth", "require needs client_ca_file: without it no client certificate could be verified")
		case t.ClientAuth == "request":
			c.warnf(path+".client_auth", "request has no use without client_ca_file: no client certificate could be verified")
		}
		if t.ClientCRLFile != "" && !c.failed(caPath) {
			c.errorf(crlPath, "needs client_ca_file: the list is only believed when one of those CAs has signed it")
		}
		return
	}
	if t.ClientAuth == "none" && !c.failed(path+".client_auth") {
		c.warnf(caPath, "has no effect with client_auth none: set that to request or require")
	}
	cas := c.authorities(t.ClientCAFile, caPath)
	if t.ClientCRLFile != "" {
		c.revocationList(t.ClientCRLFile, crlPath, cas)
	}
}

func (c *checker) upstreamTLS(t *UpstreamTLS, path string) {
	if t.CAFile != "" {
		c.authorities(t.CAFile, path+".ca_file")
	}
	switch {
	case c.failed(path+".cert_file") || c.failed(path+".key_file"):
	case t.CertFile != "" && t.KeyFile == "":
		c.errorf(path+".cert_file", "needs key_file: write the path of its private key")
	case t.KeyFile != "" && t.CertFile == "":
		c.errorf(path+".key_file", "needs cert_file: write the path of its certificate")
	default:
		c.keyPair(t.CertFile, t.KeyFile, path)
	}
}

const exampleSuite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"

// checkSuite accepts the suites that can be chosen: those of TLS 1.2 and before.
func checkSuite(name string) error {
	var can, cannot []string
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			can = append(can, suite.Name)
		} else {
			cannot = append(cannot, suite.Name)
		}
	}
	switch {
	case slices.Contains(can, name):
		return nil
	case slices.Contains(cannot, name):
		return fmt.Errorf("%s is a suite of TLS 1.3, which cannot be chosen and are always on: remove it", name)
	case strings.ContainsAny(name, ":!+@"):
		return fmt.Errorf("%s is OpenSSL's notation: leave the list empty for the secure ones, or write names such as "+exampleSuite, shown(name))
	}
	best, least := "", len(name)/3
	for _, candidate := range can {
		if d := distance(suiteLetters(name), suiteLetters(candidate)); d < least {
			best, least = candidate, d
		}
	}
	if best != "" {
		return fmt.Errorf("there is no cipher suite %s: did you mean %q?", shown(name), best)
	}
	return fmt.Errorf("there is no cipher suite %s: leave the list empty for the secure ones, or write names such as "+exampleSuite, shown(name))
}

// suiteLetters is what OpenSSL's names of suites have in common with IANA's.
func suiteLetters(name string) string {
	return strings.NewReplacer("TLS_", "", "WITH_", "", "_", "", "-", "").Replace(strings.ToUpper(name))
}
