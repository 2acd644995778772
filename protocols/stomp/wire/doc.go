// Package wire is the STOMP codec for versions 1.0, 1.1 and 1.2: bytes to
// frames and frames to bytes, bounded by limits before anything is allocated,
// and pure over io.Reader and byte slices.
package wire
