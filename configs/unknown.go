package configs

import (
	"fmt"
	"slices"
	"strings"
)

// unknown says what to do about a key that does not belong where it is.
func (d *decoder) unknown(e entry, siblings []field, at path) {
	key := e.key.Value
	var here []string
	for _, f := range siblings {
		if !slices.Contains(here, f.key) {
			here = append(here, f.key)
		}
	}
	otherwise := ": the keys here are " + strings.Join(here, ", ")
	if places := placesOf(key, d.keys); len(places) > 0 {
		otherwise = ": it belongs under " + words(places)
		if suggestion := suggest(key, here); bare(suggestion) != bare(key) {
			here = nil
		}
	}
	d.add(position{e.key.Line, e.key.Column}, at.text,
		fmt.Sprintf("unknown key%s", didYouMean(key, here, otherwise)), false)
}

// placesOf returns the sections that have the key, of all keys of the format, with NAME for a name of the operator's.
func placesOf(key string, keys []string) []string {
	var places []string
	for _, p := range keys {
		section, last := "", p
		if dot := strings.LastIndexByte(p, '.'); dot >= 0 {
			section, last = p[:dot], p[dot+1:]
		}
		if last != key {
			continue
		}
		if section == "" {
			section = "the top of the file"
		}
		places = append(places, strings.ReplaceAll(section, "*", "NAME"))
	}
	return places
}
