package accesslog

import "unicode/utf8"

const hexDigits = "0123456789ABCDEF"

// escapeText rewrites dst[from:] as nginx does by default: \xXX for quotes, backslashes and whatever is not printable ASCII.
func escapeText(dst []byte, from int) []byte {
	end := len(dst)
	for from < end && plainText(dst[from]) {
		from++
	}
	for i := from; i < end; i++ {
		c := dst[i]
		if plainText(c) {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&0xf])
	}
	return dropBefore(dst, from, end)
}

func plainText(c byte) bool {
	return c >= ' ' && c <= '~' && c != '"' && c != '\\'
}

// escapeJSON rewrites dst[from:] as the inside of a JSON string. Invalid UTF-8 becomes U+FFFD; the C1 controls are
// escaped too, since a terminal may obey them.
func escapeJSON(dst []byte, from int) []byte {
	end := len(dst)
	for from < end && plainText(dst[from]) {
		from++
	}
	for i := from; i < end; {
		r, size := utf8.DecodeRune(dst[i:end])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, `\ufffd`...)
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r >= 0x7f && r < 0xa0:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&0xf])
		default:
			dst = append(dst, dst[i:i+size]...)
		}
		i += size
	}
	return dropBefore(dst, from, end)
}

// dropBefore removes dst[from:end], the raw value that the escaped one behind it replaces: no second buffer is needed.
func dropBefore(dst []byte, from, end int) []byte {
	n := copy(dst[from:], dst[end:])
	return dst[:from+n]
}
