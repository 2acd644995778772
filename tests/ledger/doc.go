// Package ledger is for tests of faults: clients that write down what a node promised them
// and what came, and the books that are held against the promises.
package ledger
