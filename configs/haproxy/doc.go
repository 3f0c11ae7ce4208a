// Package haproxy turns an HAProxy configuration into one of mqedge.
//
// In order: read takes a file apart into sections of lines of words, as HAProxy does; the frontends and listens with an
// upstream behind them become listeners, and the backends that these lead to become upstreams; each line that nothing
// has come of by then is told of in a note, so that nothing is dropped in silence; package convert prints the result with
// the place of origin beside each section, and checks it as mqedge itself would.
//
// Values are those that hold in HAProxy, where it has other defaults than mqedge. What differs in kind (HAProxy's tables,
// rules and queues) becomes what serves the same purpose here, and the note says so. The package opens HAProxy's file, the
// lists and folders of certificates that it names, and else files only as `mqedge check` does.
package haproxy
