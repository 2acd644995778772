package nats

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// Answers adds to the rules of others what request and reply need between native clients and all others: the topics
// that stand for inboxes. Their names cannot be guessed, so that whoever knows one may answer there; what comes there its own user
// may read, and who may read it by the rules.
type Answers struct{ gateway.Authorizer }

// Rights implements gateway.Authorizer.
func (a Answers) Rights(p gateway.Principal) gateway.Rights {
	return answerRights{a.Authorizer.Rights(p), replyTopic + TokenOf(p) + "."}
}

// answerRights are the rights of one principal, whose own topics begin with own.
type answerRights struct {
	gateway.Rights
	own string
}

// May implements gateway.Rights.
func (r answerRights) May(a gateway.Action, d gateway.Destination) error {
	if d.Kind == gateway.KindTopic && strings.HasPrefix(d.Name, replyTopic) {
		switch a {
		case gateway.Write, gateway.Create:
			if !d.IsPattern() {
				return nil
			}
		case gateway.Read:
			if strings.HasPrefix(d.Name, r.own) {
				return nil
			}
		}
	}
	return r.Rights.May(a, d)
}

// All implements gateway.Rights.
func (r answerRights) All(a gateway.Action, d gateway.Destination) bool {
	if a == gateway.Read && d.Kind == gateway.KindTopic && strings.HasPrefix(d.Name, r.own) {
		return true
	}
	return r.Rights.All(a, d)
}
