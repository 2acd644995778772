// Package faults does to a real node what happens to nodes: it is killed, stopped,
// paused, its disk fills, its files are damaged. A ledger of every message says afterwards
// whether each promise was kept. SLUICE_FAULT_ROUNDS and SLUICE_FAULT_SEED raise and repeat the runs.
package faults
