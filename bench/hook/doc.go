// Package hook is as much of EMQX's ExHook (emqx.exhook.v2, gRPC over HTTP/2) as a benchmark needs: two requests as EMQX
// sends them, and the answers of a hook server. It knows nothing of who sends them to whom.
package hook
