// Package nginx turns an nginx configuration into one of mqedge.
//
// In order: parse reads the file and what it includes into a tree of directives; the servers of stream blocks become
// listeners, and the upstreams they pass to become upstreams; what nobody has asked for by then is told in a [Note],
// so that nothing is dropped in silence; the result is printed with the place of origin beside each section, and
// checked as mqedge itself would check it.
//
// Values that are nginx's defaults are written out where mqedge has another one, so that the edge behaves as nginx did.
// The package opens the nginx files, and the files they name only as `mqedge check` does.
package nginx
