// Package conformance asks a broker what STOMP clients in the field ask, byte by byte,
// and holds its answers against those of ActiveMQ Classic 5.17, which they were written for.
//
// Without further ado it asks the built sluice. SLUICE_CONFORMANCE_ADDR=host:port asks
// another broker instead: ActiveMQ, to see whether what is expected here is
// still what it does. Where Sluice does better on purpose, play.differs says so.
//
// # The differential suite
//
// TestOracle asks the probes in testdata/probes, small scripts in a language that oracle_script_test.go explains. What
// ActiveMQ answers is in testdata/oracle, so that no JVM is needed; make oracle starts the real one with the
// configuration in testdata/activemq and records anew, make oracle ORACLE=compare tells whether it has changed.
// A probe is judged by its transcript: every step and every frame, with placeholders for what
// differs from run to run (ids, times, addresses, the words of an ERROR that no client looks at).
//
//	probe --script--> player --frames--> veil --transcript--> judge <-- oracle/*.txt, differences.txt, pending.txt
//
// The judge knows three verdicts. Equal is the rule. Different on purpose is in differences.txt with its reason and
// with our own transcript, which is compared as exactly, so that a difference cannot drift, and one that has gone is a
// failure. Pending is in pending.txt with the feature that is waited for, and is a failure as soon as it answers as ActiveMQ does.
// Anything else is a failure: no probe is skipped.
package conformance
