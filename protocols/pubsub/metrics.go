package pubsub

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// What the metrics are of.
const (
	ofNode         = "ams_node"
	ofProject      = "project"
	ofMember       = "project.user"
	ofTopic        = "topic"
	ofSubscription = "subscription"
)

// nodeMetrics says how busy this node is.
func (s *Server) nodeMetrics(*request) (any, error) {
	cpu, memory := 0.0, 0.0
	if s.cfg.Usage != nil {
		cpu, memory = s.cfg.Usage()
	}
	now, name := s.cfg.Now(), s.cfg.Version.Hostname
	return wire.Metrics{Metrics: []wire.Metric{
		wire.Percentage("ams_node.cpu_usage", ofNode, name, "Percentage value that displays the CPU usage of ams service in the specific node", now, cpu),
		wire.Percentage("ams_node.memory_usage", ofNode, name, "Percentage value that displays the Memory usage of ams service in the specific node", now, memory),
	}}, nil
}

func (s *Server) projectMetrics(r *request) (any, error) {
	name, now := r.project.Name, s.cfg.Now()
	topics, subs := s.cfg.Directory.TopicsOf(name), s.cfg.Directory.SubscriptionsOf(name)
	all := []wire.Metric{
		wire.Counter("project.number_of_topics", ofProject, name, "Counter that displays the number of topics belonging to the specific project", now, uint64(len(topics))),
		wire.Counter("project.number_of_subscriptions", ofProject, name, "Counter that displays the number of subscriptions belonging to the specific project", now, uint64(len(subs))),
	}
	members := slices.DeleteFunc(s.cfg.Directory.Users(), func(u *resource.User) bool { return !u.Member(r.project) })
	slices.SortFunc(members, func(a, b *resource.User) int { return cmp.Compare(a.Name, b.Name) })
	entries := s.cfg.Directory.Entries()
	counted := func(metric, what string, count func(e resource.Entry) int) {
		for _, u := range members {
			if n := count(entries.Of(u, name)); n > 0 {
				description := "Counter that displays the number of " + what + " that a user has access to the specific project"
				all = append(all, wire.Counter(metric, ofMember, name+"."+u.Name, description, now, uint64(n)))
			}
		}
	}
	counted("project.user.number_of_topics", "topics", func(e resource.Entry) int { return len(e.Topics) })
	counted("project.user.number_of_subscriptions", "subscriptions", func(e resource.Entry) int { return len(e.Subscriptions) })
	days, err := s.daily(r.Context(), topics)
	if err != nil {
		return nil, err
	}
	return wire.Metrics{Metrics: append(all, wire.Daily("project.number_of_daily_messages", ofProject, name,
		"A collection of counters that represents the total number of messages published each day to all of the project's topics", days))}, nil
}

// ratePeriod is how far back a topic's publishing rate looks.
const ratePeriod = time.Minute

func (s *Server) topicMetrics(r *request) (any, error) {
	t, err := s.theTopic(r)
	if err != nil {
		return nil, err
	}
	if r.caller.barred(publisher, t.ACL) {
		return nil, wire.Forbidden("")
	}
	now, name := s.cfg.Now(), t.Name.Name
	page, err := s.cfg.Logs.Read(r.Context(), t.Name.String(), gateway.LogQuery{Since: max(now.Add(-ratePeriod).UnixMilli(), 1)})
	if gateway.KindOf(err) == gateway.NotFound && err != nil {
		return nil, wire.NotFound("Topic")
	}
	if err != nil {
		return nil, wire.Unavailable(err)
	}
	days, err := s.daily(r.Context(), []*resource.Topic{t})
	if err != nil {
		return nil, err
	}
	readers := 0
	for _, sub := range s.cfg.Directory.SubscriptionsOf(t.Project) {
		if sub.Topic == name {
			readers++
		}
	}
	rate := float64(page.Next-page.At) / ratePeriod.Seconds()
	return wire.Metrics{Metrics: []wire.Metric{
		wire.Counter("topic.number_of_subscriptions", ofTopic, name, "Counter that displays the number of subscriptions belonging to a specific topic", now, uint64(readers)),
		wire.Counter("topic.number_of_messages", ofTopic, name, "Counter that displays the number of messages published to the specific topic", now, page.Next),
		wire.Counter("topic.number_of_bytes", ofTopic, name, "Counter that displays the total size of data (in bytes) published to the specific topic", now, page.Bytes),
		wire.Daily("topic.number_of_daily_messages", ofTopic, name, "A collection of counters that represents the total number of messages published each day to a specific topic", days),
		wire.Rate("topic.publishing_rate", ofTopic, name, "A rate that displays how many messages were published per second between the last two publish events", now, rounded(rate)),
	}}, nil
}

func (s *Server) subscriptionMetrics(r *request) (any, error) {
	sub, err := s.mySubscription(r)
	if err != nil {
		return nil, err
	}
	now, name := s.cfg.Now(), sub.Name.Name
	var c resource.Cursor
	if t, err := s.topicOf(r.Context(), sub); err == nil {
		c = s.cfg.Directory.CursorOf(sub, t)
	}
	last := now
	if c.At != 0 {
		last = time.UnixMilli(c.At)
	}
	return wire.Metrics{Metrics: []wire.Metric{
		wire.Counter("subscription.number_of_messages", ofSubscription, name, "Counter that displays the number of messages consumed from the specific subscription", now, c.Messages),
		wire.Counter("subscription.number_of_bytes", ofSubscription, name, "Counter that displays the total size of data (in bytes) consumed from the specific subscription", now, c.Bytes),
		wire.Rate("subscription.consumption_rate", ofSubscription, name, "A rate that displays how many messages were consumed per second between the last two consume events", last, rounded(c.Rate)),
	}}, nil
}

// period is the days that a request asks about: from the beginning of the first until the end of the last one.
func (s *Server) period(r *request) (from, until time.Time, err error) {
	from, until = time.Unix(0, 0).UTC(), s.cfg.Now().UTC().Truncate(24*time.Hour)
	q := r.URL.Query()
	var ok bool
	if text := q.Get("start_date"); text != "" {
		if from, ok = wire.ParseDay(text); !ok {
			return from, until, wire.Invalid("Start date is not in valid format")
		}
	}
	if text := q.Get("end_date"); text != "" {
		if until, ok = wire.ParseDay(text); !ok {
			return from, until, wire.Invalid("End date is not in valid format")
		}
	}
	if from.After(until) {
		return from, until, wire.Invalid("Start date cannot be after the end date")
	}
	return from, until.Add(24 * time.Hour), nil
}

// vaMetrics reports on projects.
func (s *Server) vaMetrics(r *request) (any, error) {
	report, err := s.report(r, func(*resource.Project) bool { return true })
	if err != nil {
		return nil, err
	}
	return styled{report, wire.Narrow}, nil
}

// usageReport reports on the projects that the caller is an administrator of.
func (s *Server) usageReport(r *request) (any, error) {
	report, err := s.report(r, func(p *resource.Project) bool {
		return r.caller.is(projectAdmin) || r.caller.user != nil && slices.Contains(r.caller.user.Roles(p), projectAdmin)
	})
	if err != nil {
		return nil, err
	}
	return styled{wire.Usage{Report: *report, Operational: wire.Metrics{Metrics: []wire.Metric{}}}, wire.Narrow}, nil
}
