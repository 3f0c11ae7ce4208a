package doctor

import (
	"fmt"
	"path/filepath"
	"time"
)

const (
	readByAll    = 0o004
	writtenByAll = 0o002

	soon = 14 * 24 * time.Hour
)

// files looks at who may read keys and write what mqedge trusts, and at certificates that end.
func files(s subject) []Finding {
	var out []Finding
	for _, n := range namedFiles(s.config) {
		f, known := s.host.Files[n.path]
		if !known {
			continue
		}
		switch {
		case f.Mode&writtenByAll != 0:
			out = append(out, Finding{
				Severity: Warning, What: fmt.Sprintf("%s: everybody may write %s (mode %04o)", n.key, n.path, f.Mode),
				Why: "Who writes it decides whom mqedge trusts.", Commands: []string{"chmod o-rwx " + quoted(n.path)},
			})
		case n.secret && f.Mode&readByAll != 0:
			out = append(out, Finding{
				Severity: Warning, What: fmt.Sprintf("%s: everybody may read %s (mode %04o)", n.key, n.path, f.Mode),
				Why: "It is a secret, for mqedge's user or group alone.", Commands: []string{"chmod o-rwx " + quoted(n.path)},
			})
		}
		if f.Expires.IsZero() || s.host.Now.Add(soon).Before(f.Expires) {
			continue
		}
		e := Finding{
			Severity: Warning, What: fmt.Sprintf("%s: %s expires on %s", n.key, n.path, f.Expires.UTC().Format(time.DateOnly)),
			Why:      "Clients refuse it from then on. Renew it; mqedge notices the new file by itself.",
			Commands: []string{"openssl x509 -noout -subject -enddate -in " + quoted(n.path)},
		}
		if !s.host.Now.Before(f.Expires) {
			e.Severity = Error
			e.What = fmt.Sprintf("%s: %s expired on %s", n.key, n.path, f.Expires.UTC().Format(time.DateOnly))
			e.Why = "Clients refuse it. Renew it; mqedge notices the new file by itself."
		}
		out = append(out, e)
	}
	return out
}

const leastFree = 1 << 30 // bytes

// accessLog looks whether the log can be written, and for how long.
func accessLog(s subject) []Finding {
	path, ok := logFile(s.config)
	if !ok {
		return nil
	}
	f := s.host.Folders[path]
	switch {
	case f.Err != nil:
		return []Finding{{
			Severity: Error, What: fmt.Sprintf("access_log.path: %s cannot be written: %v", path, f.Err),
			Why: "mqedge does not start without its log. Its user needs the folder, and to be allowed to write there.", Commands: []string{"ls -ld " + quoted(path) + " " + quoted(filepath.Dir(path)), "install -d -o mqedge " + quoted(filepath.Dir(path))},
		}}
	case f.Size > 0 && (f.Free < leastFree || f.Free < f.Size/20):
		return []Finding{{
			Severity: Warning, What: fmt.Sprintf("access_log.path: %s are left on the disk of %s", mebibytes(f.Free), path),
			Why:      "When it is full, lines are lost and counted in mqedge_access_log_lines_total. A connection is a line of some 500 bytes.",
			Commands: []string{"df -h " + quoted(filepath.Dir(path))},
		}}
	}
	return nil
}
