package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mqedge/mqedge/configs"
)

// named is a file that a configuration names.
type named struct {
	key, path string
	secret    bool
}

func namedFiles(c *configs.Config) []named {
	if c == nil {
		return nil
	}
	var out []named
	add := func(key, path string, secret bool) {
		if path != "" && !slices.ContainsFunc(out, func(f named) bool { return f.path == path }) {
			out = append(out, named{key, path, secret})
		}
	}
	add("admin.token_file", c.Admin.TokenFile, true)
	if c.Gossip != nil {
		add("gossip.key_file", c.Gossip.KeyFile, true)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Listeners)) {
		t, at := c.Listeners[name].TLS, "listeners."+name+".tls."
		if t == nil {
			continue
		}
		for i, pair := range t.Certificates {
			add(fmt.Sprintf("%scertificates[%d].key_file", at, i), pair.KeyFile, true)
			add(fmt.Sprintf("%scertificates[%d].cert_file", at, i), pair.CertFile, false)
		}
		add(at+"ticket_keys_file", t.TicketKeysFile, true)
		add(at+"client_ca_file", t.ClientCAFile, false)
		add(at+"client_crl_file", t.ClientCRLFile, false)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		t, at := c.Upstreams[name].TLS, "upstreams."+name+".tls."
		if t == nil {
			continue
		}
		add(at+"key_file", t.KeyFile, true)
		add(at+"cert_file", t.CertFile, false)
		add(at+"ca_file", t.CAFile, false)
	}
	return out
}

// logFile returns the file of the access log, if there is one.
func logFile(c *configs.Config) (path string, ok bool) {
	if c == nil || c.AccessLog.Path == "" || c.AccessLog.Path == "-" {
		return "", false
	}
	return c.AccessLog.Path, true
}

// readFiles looks at the files that the configuration names, and at the folder of
// the access log. That they can be read was seen when it was loaded.
func (h *Host) readFiles(c *configs.Config) {
	h.Files, h.Folders = make(map[string]File), make(map[string]Folder)
	for _, f := range namedFiles(c) {
		info, err := os.Stat(f.path)
		if err != nil {
			continue // ticket keys are made when they are not there
		}
		h.Files[f.path] = File{Mode: uint32(info.Mode().Perm())}
	}
	if path, ok := logFile(c); ok {
		h.Folders[path] = readFolder(path)
	}
	if c == nil {
		return
	}
	for _, l := range c.Listeners {
		if l.TLS == nil {
			continue
		}
		for _, pair := range l.TLS.Certificates {
			if f, known := h.Files[pair.CertFile]; known {
				f.Expires = expiry(pair.CertFile)
				h.Files[pair.CertFile] = f
			}
		}
	}
}

// expiry is when the first certificate of a file ends.
func expiry(file string) time.Time {
	data, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}
		}
		return leaf.NotAfter
	}
	return time.Time{}
}

// readFolder looks at where a file is, or is going to be, written.
func readFolder(file string) Folder {
	dir := filepath.Dir(file)
	var f Folder
	if f.Err = unix.Access(file, unix.W_OK); errors.Is(f.Err, syscall.ENOENT) {
		f.Err = unix.Access(dir, unix.W_OK|unix.X_OK)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err == nil {
		f.Free, f.Size = disk.Bavail*uint64(disk.Bsize), disk.Blocks*uint64(disk.Bsize)
	}
	return f
}
