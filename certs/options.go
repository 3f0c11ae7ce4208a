package certs

import (
	"cmp"
	"crypto/tls"
	"fmt"
)

// Options say what a listener shows to its clients and asks of them. At least one certificate is needed; every other
// zero value is the default of crypto/tls.
type Options struct {
	// Certificates are chosen by the name the client asks for: the exact name, else a wildcard, else the first. Of
	// several for one name an ECDSA one is taken when the client can use it, then the first it can use.
	Certificates []KeyPair

	MinVersion, MaxVersion uint16   // zero: TLS 1.2 and the highest there is
	CipherSuites           []uint16 // up to TLS 1.2; those of TLS 1.3 are not configurable
	ALPN                   []string // in order of preference; a client offering only others is refused

	ClientAuth    ClientAuth
	ClientCAFile  string // PEM; needed to request or require certificates
	ClientCRLFile string // PEM or DER, one list or several, each signed by a CA of ClientCAFile

	// TicketKeysFile holds up to four secrets of 32 bytes, one a line in base64. Ticket keys are derived from them instead
	// of taken from Tickets, so sessions resume with every store that has the file and asks the same of client certificates,
	// in other processes too. Tickets are written with the first and read with all. Open creates the file if there is none.
	TicketKeysFile string
}

// KeyPair is a certificate chain, the leaf first, and the leaf's private key, either in files or in memory.
type KeyPair struct {
	CertFile, KeyFile string // PEM; watched
	CertPEM, KeyPEM   []byte // used when CertFile and KeyFile are empty
}

// ClientAuth says what is asked of clients.
type ClientAuth int

const (
	None    ClientAuth = iota // no certificate is asked for
	Request                   // one is asked for; one that is presented must be good
	Require                   // no connection without a good one
)

func (a ClientAuth) mode() tls.ClientAuthType {
	switch a {
	case Request:
		return tls.VerifyClientCertIfGiven
	case Require:
		return tls.RequireAndVerifyClientCert
	default:
		return tls.NoClientCert
	}
}

func (o Options) check() error {
	if len(o.Certificates) == 0 {
		return fmt.Errorf("no certificate: add at least one certificate with its key")
	}
	if o.ClientAuth < None || o.ClientAuth > Require {
		return fmt.Errorf("client authentication %d does not exist: use none, request or require", o.ClientAuth)
	}
	if o.ClientAuth != None && o.ClientCAFile == "" {
		return fmt.Errorf("client certificates are asked for but no client CA file is given: add the file of CAs that issue them")
	}
	if o.ClientCRLFile != "" && o.ClientCAFile == "" {
		return fmt.Errorf("client CRL %s: no client CA file is given to check its signature with: add one", o.ClientCRLFile)
	}
	lowest := cmp.Or(o.MinVersion, tls.VersionTLS12)
	if o.MaxVersion != 0 && o.MaxVersion < lowest {
		return fmt.Errorf("the highest version %s is below the lowest, %s: raise the one or lower the other",
			tls.VersionName(o.MaxVersion), tls.VersionName(lowest))
	}
	return nil
}

func (o Options) files() []string {
	var files []string
	for _, pair := range o.Certificates {
		files = append(files, pair.CertFile, pair.KeyFile)
	}
	return append(files, o.ClientCAFile, o.ClientCRLFile, o.TicketKeysFile)
}
