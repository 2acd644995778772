package pubsub

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

const (
	day = 24 * time.Hour
	// dailyMost is how many days daily counts go back.
	dailyMost = 30
)

// mornings remembers where logs stood when days began: that does not change any more.
type mornings struct {
	mu  sync.Mutex
	all map[morning]uint64
}

// morning is the beginning of a day, in Unix seconds, of a log.
type morning struct {
	log string
	day int64
}

// morningsMost bounds what is remembered.
const morningsMost = 1 << 17

func (m *mornings) get(k morning) (offset uint64, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	offset, known = m.all[k]
	return offset, known
}

func (m *mornings) put(k morning, offset uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil || len(m.all) >= morningsMost {
		m.all = make(map[morning]uint64)
	}
	m.all[k] = offset
}

// offsetAt is how many messages a topic had got when a day began, of a day to come how many it has got; what is not kept any more was there before.
func (s *Server) offsetAt(ctx context.Context, t *resource.Topic, begin time.Time) (uint64, error) {
	if !begin.After(t.CreatedAt()) {
		return 0, nil
	}
	k, over := morning{t.ID, begin.Unix()}, !begin.After(s.cfg.Now())
	if offset, known := s.mornings.get(k); known && over {
		return offset, nil
	}
	q := gateway.LogQuery{}
	if over {
		q.Since = begin.UnixMilli()
	}
	page, err := s.cfg.Logs.Read(ctx, t.Name.String(), q)
	switch {
	case err != nil && gateway.KindOf(err) == gateway.NotFound: // it is gone by now
		return 0, nil
	case err != nil:
		return 0, wire.Unavailable(err)
	case !over:
		return page.Next, nil
	}
	s.mornings.put(k, page.At)
	return page.At, nil
}

// between is how many messages a topic got from one day's beginning to another's.
func (s *Server) between(ctx context.Context, t *resource.Topic, from, until time.Time) (uint64, error) {
	if !until.After(t.CreatedAt()) {
		return 0, nil
	}
	first, err := s.offsetAt(ctx, t, from)
	if err != nil {
		return 0, err
	}
	last, err := s.offsetAt(ctx, t, until)
	return last - min(first, last), err
}

// daily is how many messages topics got each day, the last day first. Days without any are left out.
func (s *Server) daily(ctx context.Context, topics []*resource.Topic) ([]wire.Point, error) {
	days := []wire.Point{}
	today := s.cfg.Now().UTC().Truncate(day)
	for i := range dailyMost {
		from := today.Add(-time.Duration(i) * day)
		var sum uint64
		for _, t := range topics {
			n, err := s.between(ctx, t, from, from.Add(day))
			if err != nil {
				return nil, err
			}
			sum += n
		}
		if sum > 0 {
			days = append(days, wire.Point{At: wire.Day(from), Value: sum})
		}
	}
	return days, nil
}

// reported are the projects that a request asks about, by name, of those that fit.
func (s *Server) reported(r *request, fits func(*resource.Project) bool) ([]*resource.Project, error) {
	if names := r.URL.Query().Get("projects"); names != "" {
		var some []*resource.Project
		for name := range strings.SplitSeq(names, ",") {
			p := s.cfg.Directory.Project(r.Context(), name)
			if p == nil {
				return nil, wire.NotFound(name)
			}
			if fits(p) {
				some = append(some, p)
			}
		}
		return some, nil
	}
	all := slices.DeleteFunc(s.cfg.Directory.Projects(), func(p *resource.Project) bool { return !fits(p) })
	slices.SortFunc(all, func(a, b *resource.Project) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// report tells of the projects that fit what a request asks for.
func (s *Server) report(r *request, fits func(*resource.Project) bool) (*wire.Report, error) {
	from, until, err := s.period(r)
	if err != nil {
		return nil, err
	}
	projects, err := s.reported(r, fits)
	if err != nil {
		return nil, err
	}
	within := func(o *resource.Origin) int {
		if at := o.CreatedAt(); at.Before(from) || !at.Before(until) {
			return 0
		}
		return 1
	}
	days := max(until.Sub(from).Hours()/24, 1)
	a := &wire.Report{Projects: wire.ReportOfProjects{Projects: make([]wire.ReportOfProject, len(projects))}}
	people := make(map[string]struct{})
	for i, p := range projects {
		one := &a.Projects.Projects[i]
		one.Project = p.Name
		for _, t := range s.cfg.Directory.TopicsOf(p.Name) {
			one.TopicsCount += within(&t.Origin)
			n, err := s.between(r.Context(), t, from, until)
			if err != nil {
				return nil, err
			}
			one.Messages += n
		}
		for _, sub := range s.cfg.Directory.SubscriptionsOf(p.Name) {
			one.SubscriptionsCount += within(&sub.Origin)
		}
		for _, u := range s.cfg.Directory.Users() {
			if u.Member(p) && within(&u.Origin) > 0 {
				one.UsersCount++
				people[u.ID] = struct{}{}
			}
		}
		one.Average = roundedUp(float64(one.Messages) / days)
		a.Projects.Messages += one.Messages
		a.TopicsCount += one.TopicsCount
		a.SubscriptionsCount += one.SubscriptionsCount
	}
	a.UsersCount = len(people)
	a.Projects.Average = roundedUp(float64(a.Projects.Messages) / days)
	return a, nil
}

// rounded has two decimals, as has roundedUp.
func rounded(f float64) float64   { return math.Round(f*100) / 100 }
func roundedUp(f float64) float64 { return math.Ceil(f*100) / 100 }
