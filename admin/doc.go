// Package admin is the HTTP address for operators and their tools, and the client of it that the command line uses.
//
// In order: a request is routed by its path (routes.go), a call that changes something must be allowed (guard.go),
// and the answer is a snapshot that a [Source] hands over or what a [Control] did. [Client] asks the same routes and
// [Render] prints what it got as one screen of text.
//
// Who may change things: bound to loopback, every local process, unless a token file is configured. Beyond loopback,
// whoever sends the token; with no token file, nobody. Health, metrics and the reading API are open to all who reach
// the address.
//
// The package knows nothing of listeners, pools, certificates or configuration beyond the JSON shapes in types.go.
package admin
