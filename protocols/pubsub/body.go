package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/sluice-mq/sluice/protocols/internal/budget"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// short requests need not wait for memory. Nor does the beginning of a longer one: memory is for those who send.
const short = 64 << 10

// within is how long a client may take for so many bytes.
func (s *Server) within(bytes int) time.Duration {
	return s.cfg.Grace + time.Duration(float64(bytes)/float64(s.cfg.Pace)*float64(time.Second))
}

// read reads the body. Requests that are long wait until there is memory for them, and then have to come at once.
func (s *Server) read(w http.ResponseWriter, r *request, most int64) (release func(), err error) {
	length := r.ContentLength
	if length > most {
		return nil, wire.TooLarge()
	}
	limited, room := http.MaxBytesReader(w, r.Body, most), length
	share := s.bodies.Share(keyOf(&r.caller.shown), r.host())
	release = func() { share.Keep(0) }
	var b []byte
	if length >= 0 {
		b = make([]byte, min(length, short))
		_, err = io.ReadFull(limited, b)
	} else {
		b, err = io.ReadAll(io.LimitReader(limited, short))
		room = most
	}
	if err == nil && len(b) == short && room > short {
		b, err = s.readOn(w, r, b, limited, share, room)
	}
	if err == nil && !wire.Bomb(b) {
		r.body = b
		return release, nil
	}
	release()
	return nil, bodyProblem(err)
}

// readOn reads what comes behind the beginning of a long body.
func (s *Server) readOn(w http.ResponseWriter, r *request, first []byte, rest io.Reader, share *budget.Share, room int64) (b []byte, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Patience)
	defer cancel()
	if err := share.Take(ctx, room, room); err != nil {
		return nil, wire.Unavailable(fmt.Errorf("waiting for memory: %w", err))
	}
	control, whole := http.NewResponseController(w), r.began.Add(s.cfg.BodyTime)
	if soon := time.Now().Add(s.within(int(room))); soon.Before(whole) {
		_ = control.SetReadDeadline(soon) // else the whole request's counts
		defer func() {
			if err == nil { // who is too slow is not waited for any more
				_ = control.SetReadDeadline(whole)
			}
		}()
	}
	if r.ContentLength < 0 {
		more, err := io.ReadAll(rest)
		return append(first, more...), err
	}
	b = make([]byte, room)
	n := copy(b, first)
	_, err = io.ReadFull(rest, b[n:])
	return b, err
}

// host is where a request comes from.
func (r *request) host() string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// bodyProblem is what a client hears of a body that could not be read; nil: that it is too much, though it is not too long.
func bodyProblem(err error) error {
	var p *wire.Problem
	var long *http.MaxBytesError
	switch {
	case err == nil, errors.As(err, &long):
		return wire.TooLarge()
	case errors.As(err, &p):
		return p
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wire.TooSlow()
	}
	return wire.InvalidBody()
}

// passedOver is how many requests of the largest size fit into what is read of a request that is refused.
const passedOver = 4

// passOver reads the rest of a body that nobody wants, and keeps nothing of it. Most clients write all of a request before they
// read, and see a broken connection in the place of an answer that does not wait for them. The time for a request bounds it; a
// client that asks first whether it may send its body has its answer at once, and one that sends far too much is cut off.
func (s *Server) passOver(r *http.Request) {
	most := passedOver * s.cfg.MaxRequest
	if r.ContentLength > most || r.Header.Get("Expect") != "" {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, most) // what matters is the answer
}
