package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os/exec"
	"reflect"
	"testing"
)

func TestOpenSSLIsShownTheKindOfCertificateItCanVerify(t *testing.T) {
	t.Parallel()
	openssl := program(t, "openssl")
	e := startWithRSAAndECDSA(t)

	for _, c := range []struct {
		options []string
		want    reflect.Type
	}{
		{[]string{"-tls1_3"}, reflect.TypeFor[*ecdsa.PublicKey]()},
		{[]string{"-tls1_3", "-sigalgs", "RSA-PSS+SHA256"}, reflect.TypeFor[*rsa.PublicKey]()},
		{[]string{"-tls1_2"}, reflect.TypeFor[*ecdsa.PublicKey]()},
		{[]string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"}, reflect.TypeFor[*rsa.PublicKey]()},
	} {
		client := exec.Command(openssl, append([]string{"s_client", "-connect", e.addr("tls")}, c.options...)...)
		var errs bytes.Buffer
		client.Stderr = &errs
		out, err := client.Output() // its input is at its end, so it leaves after the handshake
		block, _ := pem.Decode(out)
		if block == nil {
			t.Errorf("%v: no certificate, %v:\n%s", c.options, err, errs.String())
			continue
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		must(t, err)
		if got := reflect.TypeOf(leaf.PublicKey); got != c.want {
			t.Errorf("%v: shown %v, want %v", c.options, got, c.want)
		}
	}
}
