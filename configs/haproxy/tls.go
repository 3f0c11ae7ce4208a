package haproxy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// tls reads what a bind shows its clients and asks of them. The text tells what is in the way, if it is nil.
func (im *importer) tls(b bind, comments map[string]string) (*configs.TLS, string) {
	t := configs.DefaultTLS()
	var own [][2]string
	for i := 0; i+1 < len(b.tls); i += 2 {
		own = append(own, [2]string{b.tls[i], b.tls[i+1]})
	}
	words := append(im.defaultBindOptions(), own...)
	auth := "none"
	for _, w := range words {
		switch w[0] {
		case "crt":
			t.Certificates = append(t.Certificates, im.certificates(b.from, w[1])...)
		case "crt-list":
			t.Certificates = append(t.Certificates, im.certificateList(b.from, w[1])...)
		case "ca-file":
			t.ClientCAFile = im.caFile(b.from, w[1])
		case "crl-file":
			t.ClientCRLFile = im.pem(w[1], "ca-base")
		case "verify":
			auth = w[1]
		case "alpn":
			t.ALPN = protocols(w[1])
		}
	}
	im.versions(b.from, words, &t)
	im.tlsNotes(b.from, own)
	if t.Certificates == nil {
		return nil, "it has no certificate that mqedge can have: write cert_file and key_file for it"
	}
	comments[".tls"] = im.Origin(b.from.place())
	switch auth {
	case "required":
		t.ClientAuth = "require"
	case "optional":
		t.ClientAuth = "request"
	default:
		t.ClientCAFile, t.ClientCRLFile = "", ""
	}
	if t.ClientAuth != "none" && t.ClientCAFile == "" {
		return nil, "verify " + auth + " has no ca-file that mqedge can verify with"
	}
	return &t, ""
}

// defaultBindOptions are those of global for all binds.
func (im *importer) defaultBindOptions() [][2]string {
	var words [][2]string
	for _, l := range im.global.own("ssl-default-bind-options") {
		before := len(words)
		for i := 1; i < len(l.words); i++ {
			w := [2]string{l.words[i], ""}
			if slices.Contains(withValue(), l.words[i]) {
				i++
				w[1] = l.arg(i)
			}
			words = append(words, w)
		}
		im.tlsNotes(l, words[before:])
	}
	return words
}

func protocols(list string) []string {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name != "" && len(name) <= 255 && !strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' }) {
			names = append(names, name)
		}
	}
	return names
}

// pem returns the path of a file, which starts from a folder that global names.
func (im *importer) pem(name, base string) string {
	if l := im.global.last(base); l != nil && !filepath.IsAbs(name) {
		name = filepath.Join(l.arg(1), name)
	}
	return im.File(name)
}

// caFile returns the path of a file of CAs; "" for a folder, and for what is no file.
func (im *importer) caFile(from *line, name string) string {
	if strings.HasPrefix(name, "@") || strings.ContainsFunc(name, convert.Control) {
		im.note(from, "ca-file %s: mqedge verifies with a PEM file: write the path of one", convert.Shown(name))
		return ""
	}
	file := im.pem(name, "ca-base")
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		im.note(from, "ca-file %s is a folder: put its files into one, which mqedge verifies with", convert.Shown(name))
		return ""
	}
	return file
}

// certificates returns those of a file, or of every file in a folder.
func (im *importer) certificates(from *line, name string) []configs.Certificate {
	if name == "" || strings.HasPrefix(name, "@") || strings.ContainsFunc(name, convert.Control) {
		im.note(from, "crt %s is not a file: left out", convert.Shown(name))
		return nil
	}
	path := im.pem(name, "crt-base")
	info, err := os.Stat(path)
	if err != nil {
		var found []configs.Certificate
		for _, kind := range []string{".rsa", ".ecdsa", ".dsa"} { // HAProxy's bundles
			if _, err := os.Stat(path + kind); err == nil {
				found = append(found, pair(path+kind))
			}
		}
		if found != nil {
			return found
		}
		return []configs.Certificate{pair(path)}
	}
	if !info.IsDir() {
		return []configs.Certificate{pair(path)}
	}
	return im.folder(from, path)
}

func (im *importer) folder(from *line, dir string) []configs.Certificate {
	entries, err := os.ReadDir(dir)
	if err != nil {
		im.note(from, "crt: cannot read the folder %s: write its certificates", convert.Shown(dir))
		return nil
	}
	var found []configs.Certificate
	for _, e := range entries {
		beside := slices.Contains([]string{".key", ".ocsp", ".issuer", ".sctl"}, filepath.Ext(e.Name()))
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || beside || strings.ContainsFunc(e.Name(), convert.Control) {
			continue
		}
		found = append(found, pair(filepath.Join(dir, e.Name())))
	}
	im.note(from, "crt %s is a folder: each file that is in it now is written; name one that comes later, the rest is noticed", convert.Shown(dir))
	return found
}

// pair is the certificate of a file, with the key in it or, as HAProxy has it too, in a file beside it.
func pair(file string) configs.Certificate {
	c := configs.Certificate{CertFile: file, KeyFile: file}
	for _, beside := range []string{file + ".key", strings.TrimSuffix(file, filepath.Ext(file)) + ".key"} {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), "PRIVATE KEY") {
			break
		}
		if _, err := os.Stat(beside); err == nil {
			c.KeyFile = beside
			break
		}
	}
	return c
}

// certificateList reads a crt-list.
func (im *importer) certificateList(from *line, name string) []configs.Certificate {
	file := im.pem(name, "crt-base")
	data, err := contents(file)
	if err != nil {
		im.note(from, "crt-list: cannot read %s: write its certificates", convert.Shown(file))
		return nil
	}
	var found []configs.Certificate
	for text := range strings.Lines(string(data)) {
		words := strings.Fields(text)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") || strings.ContainsFunc(words[0], convert.Control) {
			continue
		}
		found = append(found, pair(im.pem(words[0], "crt-base")))
		if len(words) > 1 {
			im.note(from, "crt-list: names and settings in %s are left out, certificates are chosen by the names in them", convert.Shown(name))
		}
	}
	return found
}

// versions reads which versions of TLS are on.
func (im *importer) versions(from *line, words [][2]string, t *configs.TLS) {
	names, versions := []string{"TLSV10", "TLSV11", "TLSV12", "TLSV13"}, []string{"1.0", "1.1", "1.2", "1.3"}
	least, most := 2, 3 // HAProxy's default since 2.2
	for _, w := range words {
		word, value := w[0], strings.ToUpper(strings.ReplaceAll(w[1], ".", ""))
		i := slices.Index(names, value)
		off := slices.Index([]string{"no-tlsv10", "no-tlsv11", "no-tlsv12", "no-tlsv13"}, word)
		forced := slices.Index([]string{"force-tlsv10", "force-tlsv11", "force-tlsv12", "force-tlsv13"}, word)
		switch {
		case word == "ssl-min-ver" && i >= 0:
			least = i
		case word == "ssl-min-ver": // SSLv3, which is nothing that mqedge has
			least = 0
		case word == "ssl-max-ver" && i >= 0:
			most = i
		case forced >= 0:
			least, most = forced, forced
		case off >= 0 && off == least:
			least++
		case off >= 0 && off == most:
			most--
		}
	}
	if least > most || least >= len(versions) {
		im.note(from, "no version of TLS is left: mqedge's default is taken, 1.2 and 1.3")
		return
	}
	t.MinVersion = versions[least]
	if most < len(versions)-1 {
		t.MaxVersion = versions[most]
	}
	if least < 2 {
		im.note(from, `carried over, but TLS %s is insecure: make tls.min_version "1.2" as soon as no device needs less`, versions[least])
	}
}

// tlsNotes tells of words about TLS that mqedge has another way for, or none.
func (im *importer) tlsNotes(from *line, words [][2]string) {
	const chosen = "OpenSSL's cipher strings are not understood: left out, the secure suites are on; old devices may need others, which are named in tls.cipher_suites"
	const secure = "Go chooses among the secure ones: nothing to set"
	reasons := map[string]string{
		"ciphers": chosen, "ciphersuites": "the suites of TLS 1.3 are always on: left out", "strict-sni": "who asks for no known name gets the first certificate: left out",
		"tls-ticket-keys": "files of HAProxy's format cannot be used: tickets are on with keys in memory; tls.ticket_keys_file keeps them over a restart and shares them between edges",
		"ca-verify-file":  "mqedge has one file of CAs, client_ca_file: left out", "crt-ignore-err": "mqedge ignores no error of a certificate: left out",
		"ca-ignore-err": "mqedge ignores no error of a certificate: left out", "generate-certificates": "mqedge makes no certificates: left out",
		"no-tls-tickets": "sessions resume by tickets, whose keys change by themselves: they are always on", "npn": "ALPN has taken its place: left out",
		"curves": secure, "ecdhe": secure, "sigalgs": secure, "client-sigalgs": secure, "ocsp-update": "mqedge does not staple OCSP responses: left out",
		"ca-sign-file": "mqedge makes no certificates: left out", "allow-0rtt": "mqedge takes no early data: left out", "ech": "mqedge has no ECH: left out",
	}
	for _, w := range words {
		if text := reasons[w[0]]; text != "" {
			im.note(from, "%s: %s", w[0], text)
		}
	}
}
