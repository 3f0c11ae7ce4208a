// Package hook knows what the calls of EMQX's ExHook mean: emqx.exhook.v1 (EMQX 4.3 and 4.4), v2 (5.0 to 5.8) and v3 (from 5.9).
//
// It reads and writes the few protobuf fields that a balancer of these calls needs, straight from the bytes. What it is handed and what it
// returns are gRPC messages without the five bytes that go before them on the wire.
//
//	RPC                                        hook's name            class      topics  answer
//	OnProviderLoaded, OnProviderUnloaded       -                      loading    -       LoadedResponse, EmptySuccess
//	OnClientAuthenticate                       client.authenticate    deciding   -       ValuedResponse, bool
//	OnClientAuthorize (v1: OnClientCheckAcl)   client.authorize       deciding   -       ValuedResponse, bool
//	                                           (v1: client.check_acl)
//	OnMessagePublish                           message.publish        deciding   yes     ValuedResponse, message
//	OnMessageDelivered, Dropped, Acked         message.delivered, …   notifying  yes     EmptySuccess
//	OnClientConnect, Connack, Connected,       client.connect, …      notifying  -       EmptySuccess
//	  Disconnected, Subscribe, Unsubscribe
//	OnSessionCreated, Subscribed,              session.created, …     notifying  -       EmptySuccess
//	  Unsubscribed, Resumed, Discarded,        (v1: session.takeovered)
//	  Takenover (v1: Takeovered), Terminated
//
// Of a call: [ParseMethod] takes the gRPC path, [Scan] the client id, topic and node of a request. What a provider wants to hear is an
// [Interest]. [Neutral] and [AppendFallback] are answers in place of a provider's, and [CheckReply] tells whether a provider's own is one that
// EMQX will act on.
//
// Of loading: [DecodeLoaded] and [AppendLoaded] are the answer to OnProviderLoaded, [Merge] makes one of several providers' answers, [Compare]
// tells what EMQX was told from what is true now, [Nodes] keeps what EMQX said of itself, and [State] survives a restart.
//
// # What no answer can do
//
// An EMQX up to 5.8 that asks OnClientAuthenticate refuses the client unless some answer says true: IGNORE leaves the request's result, which
// starts as false. So there is no neutral answer to that hook, and [Neutral] is IGNORE all the same: it is neutral from 5.9 on and refuses before,
// where the only other choice would let everybody in. For OnClientAuthorize the result that IGNORE leaves is EMQX's own, so nothing is lost.
//
// EMQX 4.3.0 to 4.3.2 has IGNORE and CONTINUE the other way round, in the same package, so a call does not show which of the two it is. IGNORE
// without a value, as [Neutral] has it, is "CONTINUE, but no value" there: EMQX logs a warning and goes on as if ignored. STOP_AND_RETURN is the
// same number in all.
//
// EMQX 4.3 has no message headers, so a publish cannot be denied there: the answer gives the message back whole, and it is published.
//
// The package does no I/O but the state file, starts no goroutine and knows nothing of gRPC, endpoints or configuration. What needs a lock says so.
package hook
