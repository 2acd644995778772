// Package powercut cuts the power under the store, many times, and looks at what is left. A writer runs in a process of its
// own and writes down what it was promised; it is frozen at a random moment, the disk is taken as it may be at that moment,
// and a new server is started on it: every committed record must be there, and nothing that was never sent.
//
// Two kinds of disk: a model (Disk, Cut), which takes away everything a file system may take away, and real file systems
// (Image), which are mounted again from a copy of their device, as after a crash. A writer that skips syncs shows that
// the loss of a record would be seen.
package powercut
