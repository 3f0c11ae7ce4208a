package admin

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// widestClientID is from how many columns on a client id is shortened; it may be of 65,535 bytes.
const widestClientID = 64

// RenderConnections writes a list of connections as a table, as it is at that time, for a screen of the given width;
// with 0 nothing but client ids of more than 64 columns is shortened. It writes no control characters.
func RenderConnections(w io.Writer, list ConnectionList, now time.Time, width int) error {
	if width <= 0 {
		width = 1 << 20
	}
	p := page{width: width}
	rows := []row{{cells: []string{"CLIENT ID", "ADDRESS", "LISTENER", "ENDPOINT", ">AGE", ">IN", ">OUT", ">KEEPALIVE", "MQTT"}}}
	for _, c := range list.Connections {
		rows = append(rows, row{cells: []string{
			orDash(keepEnd(visible(c.ClientID), widestClientID)), c.Client, c.Listener, orDash(c.Endpoint),
			age(now.Sub(c.Since)), size(c.BytesIn), size(c.BytesOut), keepalive(c), orDash(c.MQTTVersion),
		}})
	}
	if len(list.Connections) > 0 {
		p.table(rows)
		p.text.WriteByte('\n')
	}
	p.line(0, count(list))
	_, err := io.WriteString(w, strings.TrimPrefix(p.text.String(), "\n"))
	return err
}

func count(list ConnectionList) string {
	shown := len(list.Connections)
	switch {
	case shown < list.Total:
		return fmt.Sprintf("showing %s of %s connections", grouped(shown), grouped(list.Total))
	case shown == 1:
		return "1 connection"
	case shown == 0:
		return "no connections"
	}
	return grouped(shown) + " connections"
}

// keepalive is in seconds.
func keepalive(c Connection) string {
	switch {
	case c.MQTTVersion == "":
		return "-"
	case c.Keepalive == 0:
		return "none"
	}
	return strconv.Itoa(int(c.Keepalive)) + "s"
}

// visible shows a client id, which is any bytes, so that all of it can be seen and two different ones look different:
// what does not print is written as in $'…' of a shell, by which one can say it to other commands.
func visible(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case unicode.IsPrint(r) && (r != utf8.RuneError || n > 1):
			b.WriteRune(r)
		default:
			for _, c := range []byte(s[:n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		s = s[n:]
	}
	return b.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// size prints bytes in the largest unit that leaves two digits.
func size(n uint64) string {
	const units = "KMGTPE"
	if n < 10<<10 {
		return strconv.FormatUint(n, 10) + "B"
	}
	i := 0
	for n >>= 10; n >= 10<<10; n >>= 10 {
		i++
	}
	return strconv.FormatUint(n, 10) + units[i:i+1] + "iB"
}

// grouped prints 48210 as 48,210.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
