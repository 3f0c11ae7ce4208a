package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/prometheus"
)

// TestTheDashboard looks at the page in a real browser.
func TestTheDashboard(t *testing.T) {
	b := startBrowser(t)
	for name, test := range map[string]func(*testing.T, *browser){
		"shows all there is and asks nobody else":                    showsAll,
		"shows an endpoint that goes down, and why":                  showsChanges,
		"drains and enables after asking":                            drains,
		"says what is wrong with a file that cannot be loaded":       reloads,
		"takes a token and forgets it":                               takesToken,
		"is read-only where nobody may change things":                isReadOnly,
		"shows hostile text as text":                                 showsText,
		"cannot be used by pages of others":                          resistsOthers,
		"says when mqedge is away, and recovers":                     recovers,
		"stays usable with 500 endpoints":                            filters,
		"says what there is not":                                     saysNothingIsThere,
		"fits on a telephone":                                        fits,
		"can be read in light and in dark":                           canBeRead,
		"has a name for everything that can be used, and a landmark": hasNames,
	} {
		t.Run(name, func(t *testing.T) { test(t, &browser{t, b.ctx}) })
	}
}

// watch serves a scene and opens the page.
func watch(t *testing.T, b *browser, s *scene, before ...chromedp.Action[chromedp.Void]) (p *tab, addr string) {
	t.Helper()
	addr = serve(t, s, loopback, "")
	p = b.open(t, "http://"+addr+"/", before...)
	p.until(`document.querySelector("#updated").textContent`)
	return p, addr
}

func showsAll(t *testing.T, b *browser) {
	p, addr := watch(t, b, busy(), screen(1440, 900, false))
	for _, text := range []string{
		"ready", "1.2.3", "mqtts", "0.0.0.0:8884, [::]:8884", "48,210", "mqtt + TLS", "tls: unknown certificate authority",
		"10.0.0.11:1883", "17,002", "drained by hand", "3 failures in 10s", "answers after 610 ms", "3 of 6 endpoints in use",
		"client.authenticate", "emqx@10.0.0.12", "message.dropped", "9 days left, expires soon", "node-15", "silent",
		"10.9.9.9 is not in proxy_protocol.trust", "×3", "1 gossip member silent",
	} {
		p.says(text)
	}
	p.until(`document.title === "(7) mqedge"`)
	p.until(`document.querySelectorAll("#plots svg[role=img]").length === 7`)
	p.until(`document.querySelector("#plots svg").getAttribute("aria-label").startsWith("Connections, last ten minutes. open: now ")`)
	p.until(`[...document.querySelectorAll("#plots path.line")].every((l) => l.getAttribute("d").length > 1000)`)
	p.picture("light")

	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) < 10 {
		t.Errorf("only %q were asked for", p.asked)
	}
	for _, address := range p.asked {
		if u, err := url.Parse(address); err != nil || u.Host != addr {
			t.Errorf("the page asked for %s", address)
		}
	}
	for _, trouble := range p.troubles {
		t.Error(trouble)
	}
}

func showsChanges(t *testing.T, b *browser) {
	s := busy()
	p, _ := watch(t, b, s)
	p.says("10.0.0.11:1883")
	s.endpoint("10.0.0.11:1883", func(e *Endpoint) { e.Up, e.Reason = false, "check failed: it went away" })
	s.happened("warn", "endpoint is out of use", "upstream", "emqx", "endpoint", "10.0.0.11:1883", "reason", "check failed: it went away")
	const row = `[...document.querySelectorAll("tbody tr")].find((r) => r.children[0].textContent === "10.0.0.11:1883")`
	p.until(row + `.children[1].textContent === "✕downcheck failed: it went away"`)
	p.until(`document.querySelector("#live").textContent === "warning: endpoint is out of use emqx 10.0.0.11:1883"`)
	p.until(`document.querySelector("#event-list li").textContent.includes("it went away")`)
	p.until(`document.querySelector("#problems").textContent.includes("10.0.0.11:1883 of emqx is down")`)
	s.locked(func() { s.now.Upstreams[0].Endpoints[0].Connects += 50 }) // in the two seconds to the next answer
	s.endpoint("10.0.0.11:1883", func(e *Endpoint) { e.Up, e.Reason = true, "" })
	p.until(row + `.children[1].textContent === "●up"`)
	p.until(`!document.querySelector("#problems").textContent.includes("10.0.0.11:1883")`)
	p.clean()
}

func drains(t *testing.T, b *browser) {
	s := busy()
	p, _ := watch(t, b, s)
	const dialog = `document.querySelector("#drain-dialog")`
	p.press("Drain 10.0.0.11:1883 of emqx")
	p.until(dialog + `.open && ` + dialog + `.contains(document.activeElement)`)
	p.says("has 17,002 connections")
	p.until(`document.querySelector("#drain-over").placeholder === "30s"`)
	p.until(`document.querySelector("#drain-last").hidden`)
	p.do(chromedp.KeyEvent("\x1b"))
	p.until(`!` + dialog + `.open`)

	p.press("Drain 10.0.0.11:1883 of emqx")
	p.until(dialog + `.open`)
	value[bool](p, `document.querySelector("#drain-over").focus(), true`)
	p.do(chromedp.KeyEvent("soon"))
	p.press("Drain and move 17,002")
	p.says("is no time: write for example 30s")
	value[bool](p, `document.querySelector("#drain-over").select(), true`)
	p.do(chromedp.KeyEvent("90s"))
	p.picture("drain")
	p.press("Drain and move 17,002")
	p.until(`!` + dialog + `.open`)
	p.press("Enable 10.0.0.11:1883 of emqx")
	p.press("Enable")
	p.until(`!document.querySelector("dialog[open]")`) // which gives the focus back
	p.until(`document.activeElement.ariaLabel === "Drain 10.0.0.11:1883 of emqx"`)
	p.press("Drain 10.0.0.12:1883 of emqx")
	p.until(dialog + `.open`)
	value[bool](p, dialog+`.querySelector("[value=keep]").click(), true`)
	p.press("Drain")
	p.until(`!` + dialog + `.open`)
	p.press("Drain 10.0.0.11:1883 of emqx")
	p.until(dialog + `.open`)
	p.press("Drain and move 17,002")
	p.until(`!` + dialog + `.open`)
	p.until(`document.querySelector("[aria-label='Enable 10.0.0.11:1883 of emqx']")`)
	p.press("Drain 10.0.0.13:1883 of emqx")
	p.says("No other endpoint of this upstream is in use")
	want := []string{"drain over 1m30s emqx 10.0.0.11:1883", "enable emqx 10.0.0.11:1883", "drain keep emqx 10.0.0.12:1883", "drain emqx 10.0.0.11:1883"}
	if got := s.calls(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	p.clean()
}

func reloads(t *testing.T, b *browser) {
	s := busy()
	s.reloadErr = fmt.Errorf("a.yaml:1:2: log: wrong\na.yaml:3:4: drain: wrong")
	p, _ := watch(t, b, s)
	p.press("Reload…")
	p.press("Reload")
	p.says("the configuration was not loaded; the one in effect stays")
	p.says("a.yaml:3:4: drain: wrong")
	p.clean()
}

func takesToken(t *testing.T, b *browser) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := busy()
	p := b.open(t, "http://"+serve(t, s, anywhere, file)+"/")
	p.says("read-only")
	const drainButtons = `document.querySelectorAll("td.action button").length`
	if value[int](p, drainButtons) != 0 {
		t.Error("there are buttons without a token")
	}
	enter := func(token string) {
		value[bool](p, `document.querySelector("#token-text").focus(), true`)
		p.do(chromedp.KeyEvent(token + "\r"))
	}
	p.press("Enter token…")
	enter("wrong")
	p.says("This is not the token")
	value[bool](p, `document.querySelector("#token-text").select(), true`)
	enter("s3cret")
	p.until(`!document.querySelector("#token-dialog").open`)
	p.press("Drain 10.0.0.11:1883 of emqx")
	p.press("Drain and move 17,002")
	p.until(`!document.querySelector("#drain-dialog").open`)
	if got := s.calls(); !slices.Equal(got, []string{"drain emqx 10.0.0.11:1883"}) {
		t.Errorf("got %q", got)
	}
	if kept := value[string](p, `sessionStorage.getItem("mqedge-token") + "," + localStorage.length + "," + document.cookie`); kept != "s3cret,0," {
		t.Errorf("kept: %q", kept)
	}

	if err := os.WriteFile(file, []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.until(drainButtons + ` === 0`)
	p.says("read-only")
	p.clean()
}

func isReadOnly(t *testing.T, b *browser) {
	p := b.open(t, "http://"+serve(t, busy(), anywhere, "")+"/")
	p.says("read-only: no admin.token_file")
	if n := value[int](p, `[...document.querySelectorAll("header button, td.action button")].filter((b) => b.checkVisibility()).length`); n != 0 {
		t.Errorf("%d buttons", n)
	}
	p.clean()
}

func showsText(t *testing.T, b *browser) {
	const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	s := busy()
	for _, u := range s.now.Upstreams {
		for i := range u.Endpoints {
			u.Endpoints[i].Up, u.Endpoints[i].Reason = false, evil+u.Endpoints[i].Address
		}
		if u.ExHook != nil {
			u.ExHook.Nodes[0].Name, u.ExHook.Nodes[0].Version, u.ExHook.Hooks[0].Name = evil, evil, evil
			u.ExHook.Drift = []Drift{{Node: evil, Unknown: []string{evil}}}
		}
	}
	s.now.Upstreams[0].Endpoints[0].Address = evil
	s.now.Upstreams[0].Endpoints[0].Source = evil
	s.now.Listeners[0].LastRefusal, s.now.Listeners[0].Name = evil, evil
	s.now.Members[1].Host = evil
	s.now.Certificates[0].Names, s.now.Certificates[0].Error, s.now.Certificates[0].File = []string{evil}, evil, evil
	s.notReady = evil
	s.happened("error", evil, evil, evil, "upstream", evil)
	p, _ := watch(t, b, s)
	p.says("not ready: " + evil)
	p.happensLater(s, evil)
	if n := value[int](p, `document.querySelectorAll("main img, main script, main [onerror]").length`); n != 0 {
		t.Errorf("%d elements were made of text", n)
	}
	p.press("Drain " + evil + " of emqx")
	p.until(`document.querySelector("#drain-title").textContent.includes("<img")`)
	if title := value[string](p, "document.title"); strings.Contains(title, "owned") {
		t.Error("a script ran")
	}
	// What keeps this so if the page ever forgets: markup cannot be made of text at all.
	if got := value[string](p, `(() => { try { document.body.innerHTML = "x"; return "made"; } catch (e) { return e.name; } })()`); got != "TypeError" {
		t.Errorf("innerHTML: %s", got)
	}
	p.clean()
}

// happensLater waits until an event that comes while the page is watched has been announced.
func (p *tab) happensLater(s *scene, text string) {
	p.t.Helper()
	s.happened("warn", text, "endpoint", text)
	p.until(`document.querySelector("#live").textContent.includes("<script>")`)
}

func resistsOthers(t *testing.T, b *browser) {
	s := busy()
	addr := serve(t, s, loopback, "")
	_, port, _ := net.SplitHostPort(addr)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<title>other</title><iframe src="http://%s/"></iframe>`, addr)
	}))
	defer other.Close()
	const drain = "/api/v1/upstreams/emqx/endpoints/10.0.0.11:1883/drain"
	post := func(p *tab, address, mode string) string {
		p.t.Helper()
		value[bool](p, fmt.Sprintf(`fetch(%q, {method: "POST", mode: %q}).then((r) => window.got = "" + r.status, (e) => window.got = e.name), true`, address, mode))
		p.until("window.got")
		return value[string](p, "window.got")
	}

	p := b.open(t, other.URL)
	if got := post(p, "http://"+addr+drain, "no-cors"); got != "0" { // sent, and nobody may read the answer
		t.Errorf("a page of another origin: %s", got)
	}
	p.until(`(() => { try { return document.querySelector("iframe").contentDocument === null; } catch { return true; } })()`)

	rebound := b.open(t, "http://evil.example:"+port+"/")
	rebound.says("nothing is told for the host name")
	if got := value[string](rebound, `document.querySelector("main").innerText`); strings.Contains(got, "10.0.0.11") {
		t.Errorf("a name that was made to lead here is told: %s", got)
	}
	if got := post(rebound, drain, "same-origin"); got != "403" {
		t.Errorf("a name that was made to lead here: %s", got)
	}
	if got := s.calls(); len(got) > 0 {
		t.Errorf("done: %q", got)
	}
}

func recovers(t *testing.T, b *browser) {
	first, second := busy(), busy()
	second.list = EventList{}
	second.happened("info", "a new life")
	second.now.Listeners[0].Name = "renamed"
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	stop := run(t, first, l, noon)
	p := b.open(t, "http://"+addr+"/")
	p.says("endpoint drained by hand")
	stop()
	p.says("No answer from mqedge for")
	p.until(`document.body.classList.contains("stale") && document.body.innerText.includes("10.0.0.11:1883")`)
	p.until(`document.querySelector("td.action button").disabled`)
	p.picture("away")
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	stop = run(t, second, l, noon.Add(time.Hour))
	defer stop()
	p.says("a new life")
	p.until(`!document.body.classList.contains("stale") && document.querySelector("#away").hidden && !document.body.innerText.includes("endpoint drained by hand")`)
	p.says("renamed")
	p.press("Drain 10.0.0.11:1883 of emqx")
	p.clean()
}

// run serves a scene on l until stop is called.
func run(t *testing.T, s *scene, l net.Listener, started time.Time) (stop func()) {
	t.Helper()
	server := New(Options{Source: s, Control: s, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Version: Version{Version: "1.2.3", Started: started}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func filters(t *testing.T, b *browser) {
	s := many(500)
	p, _ := watch(t, b, s, screen(1280, 800, false))
	p.says("450 of 500 endpoints in use")
	rows := func(n int) string {
		return fmt.Sprintf(`document.querySelectorAll("#pools tbody tr").length === %d`, n)
	}
	p.until(rows(500))
	p.until(`document.querySelector("#problems").children.length === 8 && document.querySelector("#problems").innerText.includes("more")`)
	p.until(`document.querySelector("#pools .scroll").getBoundingClientRect().height < 700`)
	type_ := func(text string) {
		value[bool](p, `document.querySelector("#filter").select(), true`)
		p.do(chromedp.KeyEvent(text))
	}
	type_("10.1.2.17:")
	p.until(rows(1))
	type_("nothing like it")
	p.says("No endpoint matches the filter.")
	type_("refused")
	p.until(rows(50))
	type_("\b")
	value[bool](p, `document.querySelector("#only").click(), true`)
	p.until(rows(50))
	value[bool](p, `document.querySelector("#only").click(), true`)
	p.until(rows(500))
	const sort = `[...document.querySelectorAll("#pools .sort")].find((b) => b.textContent === "Active").click(), true`
	value[bool](p, sort)
	p.until(`document.querySelector("#pools tbody th").textContent === "10.1.2.99:1883" && document.querySelector("#pools th[aria-sort]").getAttribute("aria-sort") === "descending"`)
	value[bool](p, sort)
	p.until(`document.querySelector("#pools tbody th").textContent === "10.1.0.0:1883"`)
	p.picture("many")
	p.clean()
}

func saysNothingIsThere(t *testing.T, b *browser) {
	s := &scene{process: process{config: "drain: {over: 30s}\n"}}
	s.now.Members = busy().now.Members[:2]
	s.samples = History{Seconds: 2, Last: 9, Time: time.Now()}
	p, _ := watch(t, b, s)
	for _, text := range []string{"An agent only announces", "No upstreams are configured", "Nothing has happened yet", "No certificates are in use", "Nothing needs attention", "node-11"} {
		p.says(text)
	}
	p.until(`document.querySelector("#plots-section").hidden`)
	s.locked(func() { s.now.Upstreams = []Upstream{{Name: "learns", Protocol: "mqtt"}} })
	p.says("No endpoints yet")
	s.locked(func() {
		s.now.Upstreams = []Upstream{{Name: "hooks", Protocol: "grpc", ExHook: &ExHook{}, Endpoints: []Endpoint{{Address: "10.0.0.21:9000", Provider: &Provider{}}}}}
	})
	p.says("No EMQX node has called yet")
	p.says("No hook has been called")
	p.clean()
}

func fits(t *testing.T, b *browser) {
	for name, s := range map[string]*scene{"phone": busy(), "phone-many": many(60)} {
		p, _ := watch(t, b, s, screen(360, 740, true))
		p.until(`document.querySelectorAll("#pools tbody tr").length > 5`)
		const wide = `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > 361 && !e.closest(".scroll") && !e.closest(".unseen") && !e.closest(".skip")).map((e) => e.outerHTML.slice(0, 80)).join("\n")`
		if got := value[int](p, "document.documentElement.scrollWidth"); got > 360 {
			t.Errorf("%s: the page is %d wide:\n%s", name, got, value[string](p, wide))
		}
		if got := value[string](p, wide); got != "" {
			t.Errorf("%s: beyond the edge: %s", name, got)
		}
		p.picture(name)
		p.press(value[string](p, `document.querySelector("td.action button").ariaLabel`))
		p.until(`document.querySelector("dialog[open]").getBoundingClientRect().right <= 360`)
		p.clean()
	}
}
