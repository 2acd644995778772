package push

import (
	"encoding/base64"
	"net/http"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// The types of push subscriptions.
const (
	HTTPEndpoint = "http_endpoint"
	Mattermost   = "mattermost"
)

// mostMessages is how many a push holds, whatever the subscription asks for.
const mostMessages = 10_000

// batch is how many messages a push of the subscription holds at most. A note in Mattermost is one message.
func batch(p *resource.Push) int {
	if p.Type == Mattermost {
		return 1
	}
	return int(min(max(p.MaxMessages, 1), mostMessages))
}

// target is where a subscription's pushes go.
func target(p *resource.Push) string {
	if p.Type == Mattermost {
		return p.MattermostURL
	}
	return p.Endpoint
}

// payload is the body of a push: one message as it is for subscriptions that want one at a time, a list for others, even if it has one. There is at
// least one message.
func payload(sub resource.Name, p *resource.Push, messages []wire.Message) []byte {
	if p.Base64Decode {
		for i := range messages {
			messages[i].Data = plain(messages[i].Data)
		}
	}
	if p.Type == Mattermost {
		return wire.Encode(wire.Note{Text: messages[0].Data, Username: p.MattermostUsername, Channel: p.MattermostChannel}, wire.Compact)
	}
	name := "projects/" + sub.Project + "/subscriptions/" + sub.Name
	if batch(p) == 1 {
		return wire.Encode(wire.Pushed{Message: messages[0], Subscription: name}, wire.Compact)
	}
	many := wire.PushedMany{Messages: make([]wire.Pushed, len(messages))}
	for i := range messages {
		many.Messages[i] = wire.Pushed{Message: messages[i], Subscription: name}
	}
	return wire.Encode(many, wire.Compact)
}

// plain is what data stands for, if that can be shown in JSON without loss; else data as it is.
func plain(data string) string {
	b, err := base64.StdEncoding.DecodeString(data)
	if err != nil || !utf8.Valid(b) {
		return data
	}
	return string(b)
}

// taken reports whether an answer means that an endpoint has the messages.
func taken(p *resource.Push, status int) bool {
	if p.Type == Mattermost {
		return status == http.StatusOK
	}
	switch status {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusProcessing:
		return true
	}
	return false
}
