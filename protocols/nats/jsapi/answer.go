package jsapi

import (
	"encoding/json"
	"time"
)

// Error is the error of an answer.
type Error struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

// Error returns the description.
func (e *Error) Error() string { return e.Description }

// Position is where a consumer stands.
type Position struct {
	Consumer uint64     `json:"consumer_seq"`
	Stream   uint64     `json:"stream_seq"`
	Last     *time.Time `json:"last_active,omitempty"`
}

// Info describes a consumer.
type Info struct {
	Stream         string    `json:"stream_name"`
	Name           string    `json:"name"`
	Created        time.Time `json:"created"`
	Config         Config    `json:"config"`
	Delivered      Position  `json:"delivered"`
	AckFloor       Position  `json:"ack_floor"`
	NumAckPending  int       `json:"num_ack_pending"`
	NumRedelivered int       `json:"num_redelivered"`
	NumWaiting     int       `json:"num_waiting"`
	NumPending     uint64    `json:"num_pending"`
	TimeStamp      time.Time `json:"ts"`
}

// Paged says where a list that was asked for stands among all.
type Paged struct {
	Total  int `json:"total"`
	Offset int `json:"offset"`
	Limit  int `json:"limit"`
}

// StreamConfig is as much of a stream's configuration as there is to tell of ours.
type StreamConfig struct {
	Name         string        `json:"name"`
	Description  string        `json:"description,omitempty"`
	Subjects     []string      `json:"subjects"`
	Retention    string        `json:"retention"`
	MaxConsumers int           `json:"max_consumers"`
	MaxMsgs      int64         `json:"max_msgs"`
	MaxBytes     int64         `json:"max_bytes"`
	Discard      string        `json:"discard"`
	MaxAge       time.Duration `json:"max_age"`
	MaxMsgSize   int32         `json:"max_msg_size"`
	Storage      string        `json:"storage"`
	Replicas     int           `json:"num_replicas"`
	DenyDelete   bool          `json:"deny_delete"`
	DenyPurge    bool          `json:"deny_purge"`
	Sealed       bool          `json:"sealed"`
}

// StreamState is what a stream holds.
type StreamState struct {
	Messages  uint64    `json:"messages"`
	Bytes     uint64    `json:"bytes"`
	FirstSeq  uint64    `json:"first_seq"`
	FirstTime time.Time `json:"first_ts"`
	LastSeq   uint64    `json:"last_seq"`
	LastTime  time.Time `json:"last_ts"`
	Consumers int       `json:"consumer_count"`
}

// Stream describes a stream.
type Stream struct {
	Config    StreamConfig `json:"config"`
	Created   time.Time    `json:"created"`
	State     StreamState  `json:"state"`
	TimeStamp time.Time    `json:"ts"`
}

// The answers, each by the name of its type in JetStream's schemas.
const schema = "io.nats.jetstream.api.v1."

// AppendError appends the answer that a request was refused.
func AppendError(dst []byte, kind string, e *Error) []byte {
	return appendAnswer(dst, struct {
		Type  string `json:"type"`
		Error *Error `json:"error"`
	}{schema + kind, e})
}

// AppendConsumer appends the answer that describes a consumer.
func AppendConsumer(dst []byte, kind string, i *Info) []byte {
	return appendAnswer(dst, struct {
		Type string `json:"type"`
		*Info
	}{schema + kind, i})
}

// AppendConsumers appends a list of consumers.
func AppendConsumers(dst []byte, p Paged, all []*Info) []byte {
	return appendAnswer(dst, struct {
		Type string `json:"type"`
		Paged
		Consumers []*Info `json:"consumers"`
	}{schema + "consumer_list_response", p, all})
}

// AppendConsumerNames appends a list of consumers' names.
func AppendConsumerNames(dst []byte, p Paged, all []string) []byte {
	return appendAnswer(dst, struct {
		Type string `json:"type"`
		Paged
		Consumers []string `json:"consumers"`
	}{schema + "consumer_names_response", p, all})
}

// AppendDeleted appends the answer that a consumer is deleted.
func AppendDeleted(dst []byte) []byte {
	return appendAnswer(dst, struct {
		Type    string `json:"type"`
		Success bool   `json:"success"`
	}{schema + "consumer_delete_response", true})
}

// AppendStream appends the answer that describes a stream.
func AppendStream(dst []byte, s *Stream) []byte {
	return appendAnswer(dst, struct {
		Type string `json:"type"`
		*Stream
	}{schema + "stream_info_response", s})
}

// AppendStreams appends a list of streams.
func AppendStreams(dst []byte, p Paged, all []*Stream) []byte {
	return appendAnswer(dst, struct {
		Type string `json:"type"`
		Paged
		Streams []*Stream `json:"streams"`
	}{schema + "stream_list_response", p, all})
}

// AppendStreamNames appends a list of streams' names.
func AppendStreamNames(dst []byte, p Paged, all []string) []byte {
	return appendAnswer(dst, struct {
		Type string `json:"type"`
		Paged
		Streams []string `json:"streams"`
	}{schema + "stream_names_response", p, all})
}

// AppendAccount appends the answer that describes the account.
func AppendAccount(dst []byte, streams, consumers int) []byte {
	type limits struct {
		MaxMemory    int64 `json:"max_memory"`
		MaxStorage   int64 `json:"max_storage"`
		MaxStreams   int   `json:"max_streams"`
		MaxConsumers int   `json:"max_consumers"`
	}
	return appendAnswer(dst, struct {
		Type      string         `json:"type"`
		Memory    uint64         `json:"memory"`
		Storage   uint64         `json:"storage"`
		Streams   int            `json:"streams"`
		Consumers int            `json:"consumers"`
		Limits    limits         `json:"limits"`
		API       map[string]int `json:"api"`
	}{schema + "account_info_response", 0, 0, streams, consumers, limits{-1, -1, streams, -1}, map[string]int{"total": 0, "errors": 0}})
}

// appendAnswer appends JSON. What is in an answer can always be written.
func appendAnswer(dst []byte, answer any) []byte {
	text, _ := json.Marshal(answer)
	return append(dst, text...)
}
