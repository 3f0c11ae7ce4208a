package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
)

// contrast lists all text that stands out less than 4.5:1 from what is behind it (WCAG 2.2, 1.4.3).
const contrast = `(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  const behind = (e) => e ? over(rgba(getComputedStyle(e).backgroundColor), behind(e.parentElement)) : [255, 255, 255];
  const luminance = (c) => {
    const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), bad = new Set();
  let n = 0;
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !e.checkVisibility() || e.closest(".unseen, .skip, script, noscript")) continue;
    n++;
    const back = behind(e), front = over(rgba(getComputedStyle(e).color), back);
    const [low, high] = [luminance(back), luminance(front)].sort((a, b) => a - b), ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) bad.add(ratio.toFixed(2) + " " + e.tagName + "." + e.className + " " + e.textContent.slice(0, 40));
  }
  return JSON.stringify({n, bad: [...bad]});
})()`

func canBeRead(t *testing.T, b *browser) {
	var backgrounds []string
	for _, colours := range []string{"light", "dark"} {
		p, _ := watch(t, b, busy(), screen(1440, 900, false), scheme(colours))
		p.says("10.0.0.11:1883")
		for _, dialog := range []string{"", "drain-dialog", "confirm-dialog", "token-dialog"} {
			if dialog != "" {
				value[bool](p, fmt.Sprintf(`document.querySelector("#%s .error").append("What went wrong"), document.querySelector("#%[1]s").showModal(), true`, dialog))
			}
			var found struct {
				N   int
				Bad []string
			}
			if err := json.Unmarshal([]byte(value[string](p, contrast)), &found); err != nil {
				t.Fatal(err)
			}
			if found.N < 100 || len(found.Bad) > 0 {
				t.Errorf("%s %s: of %d texts these are too faint: %q", colours, dialog, found.N, found.Bad)
			}
			if dialog != "" {
				value[bool](p, fmt.Sprintf(`document.querySelector("#%s").close(), true`, dialog))
			}
		}
		backgrounds = append(backgrounds, value[string](p, "getComputedStyle(document.body).backgroundColor"))
		p.picture(colours)
	}
	if backgrounds[0] == backgrounds[1] {
		t.Errorf("light and dark are both %s", backgrounds[0])
	}
}

func hasNames(t *testing.T, b *browser) {
	p, _ := watch(t, b, busy(), screen(1440, 900, false))
	p.says("10.0.0.11:1883")
	roles := make(map[string]int)
	check := func() {
		t.Helper()
		command(p, accessibility.Enable, cdp.Empty{})
		for _, n := range command(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
			if n.Ignored || n.Role == nil {
				continue
			}
			role, name := said(n.Role), ""
			if n.Name != nil {
				name = said(n.Name)
			}
			roles[role]++
			if name == "" && slices.Contains([]string{"button", "checkbox", "radio", "textbox", "searchbox", "link", "table", "image", "dialog", "region", "columnheader"}, role) {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	check()
	for role, least := range map[string]int{"banner": 1, "main": 1, "contentinfo": 1, "region": 5, "table": 7, "columnheader": 30, "row": 20, "heading": 8, "status": 1} {
		if roles[role] < least {
			t.Errorf("%d of role %s, want at least %d: %v", roles[role], role, least, roles)
		}
	}
	for _, dialog := range []string{"drain-dialog", "confirm-dialog", "token-dialog"} {
		value[bool](p, fmt.Sprintf(`document.querySelector("#%s").showModal(), document.querySelectorAll("#%[1]s h2, #%[1]s [type=submit]").forEach((e) => e.textContent ||= "x"), true`, dialog))
		check()
		value[bool](p, fmt.Sprintf(`document.querySelector("#%s").close(), true`, dialog))
	}
	if roles["dialog"] != 3 {
		t.Errorf("%d dialogs", roles["dialog"])
	}
	// Stacked rows are cells all the same, and what has the focus can be seen.
	p.do(screen(360, 740, true))
	clear(roles)
	check()
	if roles["columnheader"] < 20 || roles["cell"] < 40 {
		t.Errorf("on a telephone: %v", roles)
	}
	faint := value[string](p, `[...document.querySelectorAll("button, a, input, [tabindex]")].filter((e) => {
	  if (!e.checkVisibility() || e.disabled || e.id === "main") return false;
	  e.focus({focusVisible: true});
	  const s = getComputedStyle(e);
	  return document.activeElement !== e || s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 1;
	}).map((e) => e.outerHTML.slice(0, 60)).join("\n")`)
	if faint != "" {
		t.Errorf("the focus cannot be seen on %s", faint)
	}
	p.clean()
}

func said(v *accessibility.Value) string {
	var s string
	_ = json.Unmarshal(v.Value, &s)
	return s
}
