// Package discovery says how endpoints are learnt: a [Source] gives whole sets of them to a [Sink], which a balancer's
// pool is. Sources are [Static] sets, package dns and package gossip; [Union] makes one of several.
package discovery
