package jetstream

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/sluice-mq/sluice/gateway"
)

// parseAck reads a PubAck: {"stream":"Q_03","seq":17}. The usual answer is read
// without decoding JSON; anything else is an error of the store.
func parseAck(ack []byte) (seq uint64, err error) {
	if !bytes.Contains(ack, []byte(`"error"`)) {
		if _, rest, ok := bytes.Cut(ack, []byte(`"seq":`)); ok {
			for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
				seq = seq*10 + uint64(rest[0]-'0')
				rest = rest[1:]
			}
		}
		if seq > 0 {
			return seq, nil
		}
	}
	var refused struct {
		Error struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(ack, &refused); err != nil || refused.Error.Description == "" {
		return 0, gateway.WrapError(gateway.Unavailable, fmt.Errorf("answer of the stream: %.200q", ack), "the store did not take the message")
	}
	return 0, gateway.WrapError(gateway.Unavailable, fmt.Errorf("%s (%d)", refused.Error.Description, refused.Error.Code), "the store did not take the message")
}
