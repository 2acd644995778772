package pubsub

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// unreadable reports whether a query breaks the rules of queries.
func unreadable(query string) bool {
	_, err := url.ParseQuery(query)
	return err != nil
}

func (s *Server) topicAnswer(ctx context.Context, t *resource.Topic) wire.TopicAnswer {
	a := wire.TopicAnswer{Name: "/projects/" + t.Project + "/topics/" + t.Name.Name, Created: wire.Second(t.CreatedAt())}
	if keeps := time.Duration(t.Retention) * time.Millisecond; keeps != s.terms.Load().Retention {
		a.Retention = wire.Seconds(keeps)
	}
	if t.Schema != "" {
		if x := s.cfg.Directory.SchemaByID(ctx, t.Schema); x != nil {
			a.Schema = schemaName(x)
		}
	}
	return a
}

func (s *Server) listTopics(r *request) (any, error) {
	all := s.cfg.Directory.TopicsOf(r.project.Name)
	if r.caller.limited(publisher) {
		all = slices.DeleteFunc(all, func(t *resource.Topic) bool { return !resource.May(t.ACL, r.caller.user) })
	}
	page, where, err := paged(r, all, func(t *resource.Topic) *resource.Origin { return &t.Origin })
	if err != nil {
		return nil, err
	}
	topics := make([]wire.TopicAnswer, len(page))
	for i, t := range page {
		topics[i] = s.topicAnswer(r.Context(), t)
	}
	return wire.Topics{Topics: topics, Page: where}, nil
}

// theTopic is the one that the path names.
func (s *Server) theTopic(r *request) (*resource.Topic, error) {
	if t := s.cfg.Directory.Topic(r.Context(), r.topic()); t != nil {
		return t, nil
	}
	return nil, wire.NotFound("Topic")
}

func (s *Server) showTopic(r *request) (any, error) {
	t, err := s.theTopic(r)
	if err != nil {
		return nil, err
	}
	return s.topicAnswer(r.Context(), t), nil
}

func (s *Server) createTopic(r *request) (any, error) {
	made := resource.Topic{Name: r.topic()}
	asked, err := wire.TopicRequest{}, error(nil)
	if len(r.body) > 0 {
		if asked, err = wire.Decode[wire.TopicRequest](r.body); err != nil {
			return nil, wire.InvalidBody()
		}
		if made.Schema, err = s.namedSchema(r, asked.Schema); err != nil {
			return nil, err
		}
	}
	if made.Retention, err = s.retention(asked.Retention); err != nil {
		return nil, err
	}
	t, err := s.cfg.Directory.CreateTopic(r.Context(), made, r.caller.id())
	if err != nil {
		return nil, in(err, "Topic")
	}
	return s.topicAnswer(r.Context(), t), nil
}

func (s *Server) deleteTopic(r *request) (any, error) {
	return nil, in(s.cfg.Directory.DeleteTopic(r.Context(), r.topic()), "Topic")
}

func (s *Server) listByTopic(r *request) (any, error) {
	t, err := s.theTopic(r)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, sub := range slices.Backward(s.cfg.Directory.SubscriptionsOf(r.project.Name)) {
		if sub.Topic == t.Name.Name {
			names = append(names, "/projects/"+sub.Project+"/subscriptions/"+sub.Name.Name)
		}
	}
	return styled{wire.Names{Subscriptions: names}, wire.Compact}, nil
}

func (s *Server) showTopicACL(r *request) (any, error) {
	t, err := s.theTopic(r)
	if err != nil {
		return nil, err
	}
	return wire.ACL{Users: s.cfg.Directory.NamesOf(t.ACL)}, nil
}

func (s *Server) changeTopicACL(r *request) (any, error) {
	ids, err := s.authorized(r, "Topic")
	if err != nil {
		return nil, err
	}
	return nil, in(s.cfg.Directory.ChangeTopic(r.Context(), r.topic(), func(t *resource.Topic) { t.ACL = ids }), "Topic")
}

// authorized are the IDs of the users that a request puts into an ACL. They have to be members of the project.
func (s *Server) authorized(r *request, thing string) ([]string, error) {
	asked, err := wire.Decode[wire.ACLRequest](r.body)
	if err != nil || asked.Users == nil {
		return nil, wire.InvalidArguments(thing + " ACL")
	}
	ids, unknown := make([]string, 0, len(asked.Users)), []string(nil)
	for _, name := range asked.Users {
		u := s.cfg.Directory.User(r.Context(), name)
		switch {
		case u == nil || !u.Member(r.project):
			unknown = append(unknown, name)
		case !slices.Contains(ids, u.ID):
			ids = append(ids, u.ID)
		}
	}
	if unknown != nil {
		return nil, wire.NotFoundText("User(s): " + strings.Join(unknown, ", ") + " do not exist")
	}
	return ids, nil
}
