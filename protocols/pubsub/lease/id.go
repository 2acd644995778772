package lease

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// delivery is what an ack id names: one message that was handed out once. Clients see it as a text that means nothing to them.
type delivery struct {
	// generation and tenure are those of the cursor then, tag and serial those of the book.
	generation, tenure, tag, serial uint64
}

const (
	// sumLength is how many bytes of a sum an ack id has: nobody guesses 2^96.
	sumLength = 12
	// mostID is the longest text that can be an ack id.
	mostID = 96
)

// text writes an ack id of a subscription. It has at most 70 letters, and there is no other text for it.
func (d delivery) text(secret, subscription string) string {
	b := make([]byte, 0, 4*binary.MaxVarintLen64+sumLength)
	for _, n := range [...]uint64{d.generation, d.tenure, d.tag, d.serial} {
		b = binary.AppendUvarint(b, n)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, sum(secret, subscription, b)...))
}

// sum is what only who knows the secret can say of a delivery of a subscription.
func sum(secret, subscription string, b []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	_, _ = h.Write(append([]byte(subscription+"\x00"), b...)) // it does not fail
	return h.Sum(nil)[:sumLength]
}

// readDelivery reads an ack id; not ok if it is none of that subscription.
func readDelivery(text, secret, subscription string) (d delivery, ok bool) {
	if len(text) > mostID {
		return d, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < sumLength {
		return d, false
	}
	b, said := b[:len(b)-sumLength], b[len(b)-sumLength:]
	if !hmac.Equal(said, sum(secret, subscription, b)) {
		return d, false
	}
	for _, n := range [...]*uint64{&d.generation, &d.tenure, &d.tag, &d.serial} {
		v, read := binary.Uvarint(b)
		if read <= 0 {
			return delivery{}, false
		}
		*n, b = v, b[read:]
	}
	return d, len(b) == 0 && d.text(secret, subscription) == text
}
