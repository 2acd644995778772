package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io"

	"net/http"
	"os"

	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// short requests need not wait for memory.
const short = 64 << 10

// read reads the body. Requests that are long wait until there is memory for them.
func (s *Server) read(w http.ResponseWriter, r *request, most int64) (release func(), err error) {
	length := r.ContentLength
	if length > most {
		return nil, wire.TooLarge()
	}
	if length < 0 {
		length = most
	}
	release = func() {}
	if length > short {
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Patience)
		defer cancel()
		if err := s.memory.Acquire(ctx, length); err != nil {
			return nil, wire.Unavailable(fmt.Errorf("waiting for memory: %w", err))
		}
		release = func() { s.memory.Release(length) }
	}
	limited := http.MaxBytesReader(w, r.Body, most)
	var b []byte
	if r.ContentLength > 0 {
		b = make([]byte, r.ContentLength)
		_, err = io.ReadFull(limited, b)
	} else {
		b, err = io.ReadAll(limited)
	}
	if err == nil && !wire.Bomb(b) {
		r.body = b
		return release, nil
	}
	release()
	if err == nil {
		return nil, wire.TooLarge()
	}
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, wire.TooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, wire.TooSlow()
	}
	return nil, wire.InvalidBody()
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
