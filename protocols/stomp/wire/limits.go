package wire

import "math"

const (
	maxCommand    = 1024
	maxHeaderLine = 10 << 10
	maxHeaders    = 1000

	// frameSlack is what a frame may have beside the largest body. It is less than
	// maxHeaders lines of maxHeaderLine would need, which nobody sends.
	frameSlack = 1 << 20
)

// BeforeLogin returns the limits for a peer nobody knows yet: enough for
// credentials and tokens, too little to hurt.
func BeforeLogin() Limits {
	return Limits{
		Command:    maxCommand,
		HeaderLine: maxHeaderLine,
		Headers:    128,
		Body:       32 << 10,
		Frame:      64 << 10,
	}
}

// AfterLogin returns the limits for a peer that has logged in, with ActiveMQ's
// figures for the parts. Bodies may have maxBody bytes (less than zero is zero),
// whole frames 1 MiB more.
func AfterLogin(maxBody int) Limits {
	maxBody = min(max(maxBody, 0), math.MaxInt-frameSlack)
	return Limits{
		Command:    maxCommand,
		HeaderLine: maxHeaderLine,
		Headers:    maxHeaders,
		Body:       maxBody,
		Frame:      maxBody + frameSlack,
	}
}

// frame returns the limit of the whole frame. Frame == 0 needs no check of its
// own: the limits of the parts imply their sum.
func (l Limits) frame() int {
	if l.Frame == 0 {
		return math.MaxInt
	}
	return l.Frame
}
