package relay

import (
	"crypto"
	"crypto/tls"
	"io"
	"slices"
)

// hooks are what a handshake of this package wants of crypto/tls, beside the
// handshake.
type hooks struct {
	keys *trafficKeys // nil = not wanted
	full func() error // as [Relay.Handshake] has it; nil = none

	asked bool  // full was called,
	said  error // and returned this
}

// on returns config with the hooks, for one handshake.
func (h *hooks) on(config *tls.Config) *tls.Config {
	if h.keys == nil && h.full == nil {
		return config
	}
	own := h.in(config)
	if config.GetConfigForClient == nil && h.full == nil {
		return own
	}
	own.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		inForce, chosen := own, (*tls.Config)(nil)
		if choose := config.GetConfigForClient; choose != nil {
			var err error
			if chosen, err = choose(hello); err != nil {
				return nil, err
			}
		}
		if chosen != nil {
			inForce = chosen
		}
		if h.full != nil && !mayResume(hello, inForce) {
			if err := h.ask(); err != nil {
				return nil, err
			}
		}
		if chosen == nil || h.full == nil && !slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
			return chosen, nil
		}
		return h.in(chosen), nil
	}
	return own
}

// in returns a copy of config with all hooks but GetConfigForClient.
func (h *hooks) in(config *tls.Config) *tls.Config {
	own := config.Clone()
	if h.keys != nil {
		own.KeyLogWriter = h.keys
	}
	if h.full == nil {
		return own
	}
	if choose := config.GetCertificate; choose != nil {
		own.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c, err := choose(hello)
			if err != nil || c == nil {
				return c, err
			}
			guarded := h.guard(*c)
			return &guarded, nil
		}
	}
	own.Certificates = slices.Clone(config.Certificates)
	for i, c := range own.Certificates {
		own.Certificates[i] = h.guard(c)
	}
	return own
}

// ask asks full, once.
func (h *hooks) ask() error {
	if !h.asked {
		h.asked, h.said = true, h.full()
	}
	return h.said
}

// mayResume reports whether the client could resume a session as far as its
// ClientHello tells. One that could not is asked about before anything is
// computed for it; for others it shows when a key is used, since their tickets
// may be unknown or made up.
func mayResume(hello *tls.ClientHelloInfo, config *tls.Config) bool {
	const sessionTicket, preSharedKey = 35, 41 // RFC 5077 and 8446; the first may be empty
	if slices.Contains(hello.Extensions, preSharedKey) {
		return true
	}
	is13 := slices.Contains(hello.SupportedVersions, tls.VersionTLS13) && (config.MaxVersion == 0 || config.MaxVersion >= tls.VersionTLS13)
	return !is13 && slices.Contains(hello.Extensions, sessionTicket)
}

// guard returns c with a key that asks full before it is used: only handshakes
// that resume nothing do that.
func (h *hooks) guard(c tls.Certificate) tls.Certificate {
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return c
	}
	key := guardedKey{signer, h}
	c.PrivateKey = key
	if decrypter, ok := signer.(crypto.Decrypter); ok { // crypto/tls wants this of RSA keys, and of no others
		c.PrivateKey = guardedRSA{key, decrypter}
	}
	return c
}

// guardedKey looks like the key that it guards, for which crypto/tls asks only
// its public half.
type guardedKey struct {
	crypto.Signer
	hooks *hooks
}

func (k guardedKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := k.hooks.ask(); err != nil {
		return nil, err
	}
	return k.Signer.Sign(rand, digest, opts)
}

// guardedRSA is for the key exchange with RSA alone, before TLS 1.3.
type guardedRSA struct {
	guardedKey
	decrypter crypto.Decrypter
}

func (k guardedRSA) Decrypt(rand io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if err := k.hooks.ask(); err != nil {
		return nil, err
	}
	return k.decrypter.Decrypt(rand, msg, opts)
}
