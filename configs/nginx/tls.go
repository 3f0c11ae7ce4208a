package nginx

import (
	"slices"
	"strings"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// tls reads what a server shows its clients and asks of them. The text tells what is in the way, if it is nil.
func (im *importer) tls(s *directive, comments map[string]string) (*configs.TLS, string) {
	t := configs.DefaultTLS()
	certificates, keys := s.inherited("ssl_certificate"), s.inherited("ssl_certificate_key")
	for i, d := range certificates {
		if i >= len(keys) {
			im.add(d, "has no ssl_certificate_key: left out")
			continue
		}
		certificate, ok1 := im.pemFile(d)
		key, ok2 := im.pemFile(keys[i])
		if ok1 && ok2 {
			t.Certificates = append(t.Certificates, configs.Certificate{CertFile: certificate, KeyFile: key})
			if comments[".tls"] == "" {
				comments[".tls"] = im.Origin(d.place())
			}
		}
	}
	if t.Certificates == nil {
		return nil, "it has no certificate that mqedge can have: write cert_file and key_file for it"
	}
	im.versions(s, &t)
	for _, d := range s.inherited("ssl_alpn") {
		for _, name := range d.args {
			if len(name) <= 255 && !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.ALPN = append(t.ALPN, name)
			}
		}
	}
	if why := im.clientCertificates(s, &t); why != "" {
		return nil, why
	}
	return &t, ""
}

// pemFile returns the path of a certificate or a key.
func (im *importer) pemFile(d *directive) (string, bool) {
	switch {
	case len(d.args) != 1 || d.args[0] == "":
		im.add(d, "is not understood, one file is expected: left out")
	case strings.Contains(d.args[0], "$"):
		im.add(d, "mqedge knows no variables here: left out; several certificates are chosen by SNI, write each")
	case strings.ContainsFunc(d.args[0], convert.Control):
		im.add(d, "holds a control character: left out")
	case strings.HasPrefix(d.args[0], "data:"), strings.HasPrefix(d.args[0], "engine:"), strings.HasPrefix(d.args[0], "store:"):
		im.add(d, "mqedge reads keys and certificates from PEM files only: left out")
	default:
		return im.File(d.args[0]), true
	}
	return "", false
}

func (im *importer) versions(s *directive, t *configs.TLS) {
	listed := s.inherited("ssl_protocols")
	if len(listed) == 0 {
		d := s.inherited("ssl_certificate")[0]
		im.add(d, "there is no ssl_protocols: nginx before 1.27.3 takes TLSv1 and TLSv1.1 then, mqedge begins at 1.2: "+
			`if old devices need less, write tls.min_version: "1.0"`)
		return
	}
	d := listed[0]
	names := []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	versions := []string{"1.0", "1.1", "1.2", "1.3"}
	var on []int
	for _, arg := range d.args {
		i := slices.Index(names, arg)
		if i < 0 {
			im.add(d, "mqedge does not have %s: left out, devices that know nothing newer are cut off", convert.Shown(arg))
			continue
		}
		on = append(on, i)
	}
	if on == nil {
		im.add(d, "names no version that mqedge has: the default is taken, 1.2 and 1.3")
		return
	}
	slices.Sort(on)
	on = slices.Compact(on)
	first, last := on[0], on[len(on)-1]
	t.MinVersion = versions[first]
	if last < len(versions)-1 {
		t.MaxVersion = versions[last]
	}
	if last-first >= len(on) {
		im.add(d, "mqedge has a first and a last version: those between are on too")
	}
	if first < 2 {
		im.add(d, `carried over, but TLS %s is insecure: make tls.min_version "1.2" as soon as no device needs less`, versions[first])
	}
}

// clientCertificates returns what is in the way, if clients could not be verified as nginx did.
func (im *importer) clientCertificates(s *directive, t *configs.TLS) string {
	verify, d := im.word(s, "ssl_verify_client")
	switch verify {
	case "on":
		t.ClientAuth = "require"
	case "optional":
		t.ClientAuth = "request"
	case "", "off":
		return ""
	case "optional_no_ca":
		im.add(d, "mqedge verifies a certificate or asks for none: none is asked for")
		return ""
	default:
		return "ssl_verify_client " + convert.Shown(verify) + " is not understood"
	}
	file, from := im.word(s, "ssl_client_certificate")
	more, trusted := im.word(s, "ssl_trusted_certificate")
	switch {
	case file != "" && more != "" && file != more:
		im.add(trusted, "mqedge has one file of CAs, client_ca_file, made of ssl_client_certificate: put both into it, clients of the others are refused")
	case file == "":
		file, from = more, trusted
	}
	if file == "" || from == nil {
		return "ssl_verify_client has no ssl_client_certificate to verify with"
	}
	t.ClientCAFile = im.File(file)
	if crl, _ := im.word(s, "ssl_crl"); crl != "" {
		t.ClientCRLFile = im.File(crl)
	}
	if depth := im.one(s, "ssl_verify_depth"); depth != nil {
		im.add(depth, "mqedge has no limit for the length of a chain: every CA in it has to be valid all the same")
	}
	return ""
}

// upstreamTLS reads how a server speaks TLS to what is behind it, since the directive on says that it does. The names of
// the others begin with ssl, such as proxy_ssl.
func (im *importer) upstreamTLS(s, on *directive, ssl string, t *target) *configs.UpstreamTLS {
	var u configs.UpstreamTLS
	if ca, _ := im.word(s, ssl+"_trusted_certificate"); ca != "" {
		u.CAFile = im.File(ca)
	}
	name, named := im.word(s, ssl+"_name")
	verified := im.on(s, ssl+"_verify", false)
	switch {
	case !verified:
		im.add(on, "without %s_verify nginx takes any certificate, mqedge verifies it always: write tls.ca_file, and tls.server_name if the certificate is not for the host of the address", ssl)
	case named == nil && t.known:
		name = t.name // which is what nginx compares with
	}
	if convert.IsHost(name) {
		u.ServerName = name
	} else if name != "" {
		im.add(on, "the name that nginx verifies, %s, is not one of a host: write tls.server_name if the certificate is not for the host of the address", convert.Shown(name))
	}
	certificates, keys := s.inherited(ssl+"_certificate"), s.inherited(ssl+"_certificate_key")
	if len(certificates) > 0 && len(keys) > 0 {
		certificate, ok1 := im.pemFile(certificates[0])
		key, ok2 := im.pemFile(keys[0])
		if ok1 && ok2 {
			u.CertFile, u.KeyFile = certificate, key
		}
	}
	for _, d := range s.inherited(ssl + "_server_name") {
		if !strings.EqualFold(strings.Join(d.args, " "), "on") {
			im.add(d, "mqedge always sends the name, as SNI")
		}
	}
	return &u
}
