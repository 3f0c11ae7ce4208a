package admin

import (
	"embed"
	"net/http"
	"path"
	"time"
)

// ui are the files of the dashboard, as the browser gets them.
//
//go:embed ui
var ui embed.FS

// policy lets the page load its own files and ask its own address, and nothing else: no script that is not a file of
// ours, no text made into markup, no other page around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// uiFile serves one of the dashboard's files. They are small and change with the program, so a browser is to ask for
// them each time.
func uiFile(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		file := name
		if file == "" {
			file = r.PathValue("file")
		}
		body, err := ui.ReadFile("ui/" + file)
		if err != nil {
			fail(w, http.StatusNotFound, "the dashboard has no such file")
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentTypes[path.Ext(file)])
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(body)
	}
}

// Access says whether the one who asks may change things.
type Access struct {
	Changes string `json:"changes"` // open: whoever reaches the address; token: whoever sends it; refused: nobody
	Allowed bool   `json:"allowed"` // what was sent with this request is enough
	Reason  string `json:"reason"`  // why not
}

// access answers by the rules for changing calls, and changes nothing.
func (s *Server) access(g *guard) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := Access{Changes: g.changes(), Allowed: true}
		switch no, err := g.change(r); {
		case err != nil:
			s.o.Logger.Error("admin: a changing call cannot be authorized", "error", err)
			a.Allowed, a.Reason = false, "the token file cannot be used: the log says why"
		case no != nil:
			a.Allowed, a.Reason = false, no.text
		}
		answer(w, http.StatusOK, a)
	}
}

// status is all that one screen shows, at once.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	src := s.o.Source
	st := Status{
		Version: s.o.Version, Listeners: orEmpty(src.Listeners()), Upstreams: orEmpty(src.Upstreams()),
		Members: orEmpty(src.Members()), Announced: src.Announcements(), Certificates: orEmpty(src.Certificates()), Time: time.Now(),
	}
	st.Ready, st.Reason = src.Ready()
	answer(w, http.StatusOK, st)
}
