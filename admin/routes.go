package admin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"gopkg.in/yaml.v3"
)

const index = `mqedge admin address

GET  /                             the dashboard
GET  /metrics                      Prometheus
GET  /livez                        200 while the process runs
GET  /readyz                       200 while it takes connections, else 503 and why
GET  /api/v1/listeners
GET  /api/v1/upstreams
GET  /api/v1/members
GET  /api/v1/announcements
GET  /api/v1/certificates
GET  /api/v1/version
GET  /api/v1/connections           ?client_id=X &listener=NAME &upstream=NAME &endpoint=ADDR &limit=N (1000)
DELETE /api/v1/connections         ?client_id=X
GET  /api/v1/status                all of these five, whether it is ready, and the time
GET  /api/v1/events                ?since=ID
GET  /api/v1/history               ?since=NUMBER
GET  /api/v1/access                whether the token that is sent, if one is needed, allows changing calls
GET  /api/v1/config
POST /api/v1/reload
POST /api/v1/upstreams/NAME/endpoints/ADDR/drain
POST /api/v1/upstreams/NAME/endpoints/ADDR/enable
GET  /debug/pprof/                 on loopback only
`

// methods are the handlers of one path. GET answers HEAD too; any method but GET changes something.
type methods map[string]http.HandlerFunc

// handler is every route; loopback says whether the server is bound to it.
func (s *Server) handler(loopback bool) http.Handler {
	g := newGuard(loopback, s.o.TokenFile)
	mux := http.NewServeMux()
	route := func(pattern string, m methods) { mux.Handle(pattern, s.dispatch(g, m)) }
	list := func(pattern string, snapshot func() any) {
		route(pattern, methods{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, snapshot()) }})
	}
	src := s.o.Source

	route("/{$}", methods{http.MethodGet: uiFile("index.html")})
	route("/ui/{file}", methods{http.MethodGet: uiFile("")})
	route("/api/v1/{$}", methods{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, index) }})
	route("/livez", methods{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") }})
	route("/readyz", methods{http.MethodGet: s.ready})
	route("/metrics", methods{http.MethodGet: promhttp.HandlerFor(s.o.Gatherer, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: 4,
	}).ServeHTTP})

	list("/api/v1/listeners", func() any { return orEmpty(src.Listeners()) })
	list("/api/v1/upstreams", func() any { return orEmpty(src.Upstreams()) })
	list("/api/v1/members", func() any { return orEmpty(src.Members()) })
	list("/api/v1/announcements", func() any { return src.Announcements() })
	list("/api/v1/certificates", func() any { return orEmpty(src.Certificates()) })
	list("/api/v1/version", func() any { return s.o.Version })
	route("/api/v1/status", methods{http.MethodGet: s.status})
	route("/api/v1/events", methods{http.MethodGet: s.events})
	route("/api/v1/history", methods{http.MethodGet: s.history})
	route("/api/v1/access", methods{http.MethodGet: s.access(g)})
	route("/api/v1/config", methods{http.MethodGet: s.config})
	route("/api/v1/connections", methods{http.MethodGet: s.connections, http.MethodDelete: s.kick})
	route("/api/v1/reload", methods{http.MethodPost: s.reload})
	route("/api/v1/upstreams/{upstream}/endpoints/{endpoint}/drain", methods{http.MethodPost: s.drain})
	route("/api/v1/upstreams/{upstream}/endpoints/{endpoint}/enable", methods{http.MethodPost: s.enable})

	for path, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		route("/debug/pprof/"+path, methods{http.MethodGet: func(w http.ResponseWriter, r *http.Request) {
			if no := g.profile(r); no != nil {
				fail(w, no.status, no.text)
				return
			}
			h(w, r)
		}})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, fmt.Sprintf("there is nothing at %.200s: GET /api/v1/ lists what there is", r.URL.Path))
	})
	return mux
}

// dispatch picks the handler by method and lets a changing one run only when the guard allows it.
func (s *Server) dispatch(g *guard, m methods) http.Handler {
	allowed := make([]string, 0, len(m)+1)
	for method := range m {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h, ok := m[method]
		if !ok {
			w.Header().Set("Allow", allow)
			fail(w, http.StatusMethodNotAllowed, fmt.Sprintf("%.20s is not for this path: it takes %s", r.Method, allow))
			return
		}
		if method == http.MethodGet {
			if no := g.read(r); no != nil {
				fail(w, no.status, no.text)
				return
			}
		} else {
			no, err := g.change(r)
			if err != nil {
				s.o.Logger.Error("admin: a changing call cannot be authorized", "error", err)
				fail(w, http.StatusInternalServerError, "the token file cannot be used: the log says why")
				return
			}
			if no != nil {
				if no.status == http.StatusUnauthorized {
					w.Header().Set("WWW-Authenticate", "Bearer")
				}
				fail(w, no.status, no.text)
				return
			}
			s.o.Logger.Info("admin: changing call", "method", r.Method, "path", r.URL.RequestURI(), "peer", r.RemoteAddr)
		}
		h(w, r)
	})
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if ok, why := s.o.Source.Ready(); !ok {
		plain(w, http.StatusServiceUnavailable, why+"\n")
		return
	}
	plain(w, http.StatusOK, "ready\n")
}

func (s *Server) config(w http.ResponseWriter, _ *http.Request) {
	var tree any
	if err := yaml.Unmarshal(s.o.Source.Config(), &tree); err != nil {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("the configuration in effect cannot be read back: %v", err))
		return
	}
	answer(w, http.StatusOK, tree)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	err := s.o.Control.Reload(r.Context())
	if err == nil {
		answer(w, http.StatusOK, map[string]bool{"reloaded": true})
		return
	}
	answer(w, http.StatusUnprocessableEntity, map[string]any{
		"error":    "the configuration was not loaded; the one in effect stays",
		"problems": strings.Split(strings.TrimSpace(err.Error()), "\n"),
	})
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	how, err := parseDrain(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.change(w, r, true, how.Local, func(upstream, endpoint string) error { return s.o.Control.Drain(upstream, endpoint, how) })
}

func (s *Server) enable(w http.ResponseWriter, r *http.Request) {
	local, err := parseFlag(r.URL.Query(), "local")
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.change(w, r, false, local, func(upstream, endpoint string) error { return s.o.Control.Enable(upstream, endpoint, local) })
}

// parseDrain reads the parameters over, keep and local.
func parseDrain(q url.Values) (how Drain, err error) {
	if text := q.Get("over"); text != "" {
		over, err := time.ParseDuration(text)
		if err != nil || over < 0 {
			return how, fmt.Errorf("over=%q is no time: write for example 30s", text)
		}
		how.Over = &over
	}
	if how.Keep, err = parseFlag(q, "keep"); err == nil {
		how.Local, err = parseFlag(q, "local")
	}
	return how, err
}

func parseFlag(q url.Values, name string) (bool, error) {
	switch text := q.Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, fmt.Errorf("%s=%q is neither true nor false", name, text)
	}
}

// change does something to the endpoint that the request names.
func (s *Server) change(w http.ResponseWriter, r *http.Request, draining, local bool, do func(upstream, endpoint string) error) {
	upstream, endpoint := r.PathValue("upstream"), r.PathValue("endpoint")
	missing := unknownEndpoint(s.o.Source.Upstreams(), upstream, endpoint)
	if missing != "" && draining { // one that is drained and gone may be enabled
		fail(w, http.StatusNotFound, missing)
		return
	}
	if err := do(upstream, endpoint); err != nil {
		if missing != "" {
			fail(w, http.StatusNotFound, missing)
			return
		}
		fail(w, http.StatusConflict, err.Error())
		return
	}
	said := map[string]any{"upstream": upstream, "endpoint": endpoint, "draining": draining}
	if on := s.o.Control.DrainsOn(local); on != "" {
		said["on"] = on
	}
	answer(w, http.StatusOK, said)
}

// unknownEndpoint says which name is wrong and which there are, or nothing.
func unknownEndpoint(upstreams []Upstream, upstream, endpoint string) string {
	var names []string
	for _, u := range upstreams {
		if u.Name != upstream {
			names = append(names, u.Name)
			continue
		}
		var addresses []string
		for _, e := range u.Endpoints {
			if e.Address == endpoint {
				return ""
			}
			addresses = append(addresses, e.Address)
		}
		return fmt.Sprintf("upstream %s has no endpoint %.80q: there are %s", upstream, endpoint, known(addresses))
	}
	return fmt.Sprintf("there is no upstream %.80q: there are %s", upstream, known(names))
}

func known(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// answer writes v as JSON. A client that went away is not an error of ours.
func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("the answer is not JSON: %v", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func fail(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
