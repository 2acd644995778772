// Package wire is the STOMP codec for versions 1.0, 1.1 and 1.2: bytes to
// frames and frames to bytes, bounded by limits before anything is allocated,
// and pure over io.Reader and byte slices.
//
// It takes what clients written for ActiveMQ Classic send: CRLF in every
// version, blanks, line ends and NULs between frames, header lines without a
// colon, undefined escapes, content-length where it means nothing. It does not
// take what would let one client forge the headers of another: a carriage
// return or NUL inside a header line is an error, 1.0 is never unescaped, and
// what is written can never end a line, a header name or a frame early.
package wire
