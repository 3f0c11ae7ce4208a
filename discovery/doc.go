// Package discovery says how endpoints are learnt: a [Source] gives whole sets of them to a [Sink], which a balancer's
// pool is. Sources are package dns and package gossip; [Merge] makes one set of several.
package discovery
