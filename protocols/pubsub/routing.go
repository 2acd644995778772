package pubsub

import (
	"strconv"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	copying "github.com/sluice-mq/sluice/gateway/route"
	"github.com/sluice-mq/sluice/protocols/pubsub/courier"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// NewCourier makes what runs routes, for all doors of a node: copies say as their messages do how their data is to be read.
func NewCourier(cfg courier.Config) (*courier.Courier, error) {
	cfg.Kept = []string{dataField}
	return courier.New(cfg)
}

// Where a route begins.
const (
	atEnd   = "latest"
	atFront = "earliest"
)

// routePath is what the path of a request names.
func (r *request) routePath() resource.Name {
	return resource.Name{Project: r.project.Name, Name: r.vars.Get("route")}
}

// topicPath is the name that clients know a topic by, or a template of such names.
func topicPath(project, name string) string { return "projects/" + project + "/topics/" + name }

func routeAnswer(r *resource.Route, p resource.RouteProgress) wire.Route {
	a := wire.Route{
		Name: "projects/" + r.Project + "/routes/" + r.Name.Name, Topic: topicPath(r.Project, r.Topic), Selector: r.Selector, Attributes: r.Attributes,
		Created:  wire.Second(r.CreatedAt()),
		Progress: wire.RouteProgress{Next: p.Next, Copies: p.Copies, Refused: p.Refused, Missed: p.Missed, Fault: p.Fault},
	}
	for _, t := range r.Targets {
		a.Targets = append(a.Targets, topicPath(r.Project, t))
	}
	if r.Pointer != "" || len(r.Fields) > 0 {
		a.Data = &wire.Data{Pointer: r.Pointer, Fields: r.Fields}
	}
	if r.DeadLetters != "" {
		a.DeadLetters = topicPath(r.Project, r.DeadLetters)
	}
	if p.Fault != "" {
		a.Progress.FaultSince = wire.Second(time.UnixMilli(p.Since))
	}
	if last := p.Refusal; last != nil {
		a.Progress.LastRefusal = &wire.Refusal{Offset: last.Offset, Reason: last.Text, Time: wire.Second(time.UnixMilli(last.At))}
	}
	return a
}

// progressOf is how far a route is, as it was written down last; of nothing if its topic is gone.
func (s *Server) progressOf(r *request, x *resource.Route) (resource.RouteProgress, *resource.Topic) {
	t := s.cfg.Directory.Topic(r.Context(), resource.Name{Project: x.Project, Name: x.Topic})
	if t == nil {
		return resource.RouteProgress{Progress: copying.Progress{Fault: "topic " + x.Topic + " is gone"}}, nil
	}
	return s.cfg.Directory.ProgressOf(x, t), t
}

func (s *Server) listRoutes(r *request) (any, error) {
	all := s.cfg.Directory.RoutesOf(r.project.Name)
	page, where, err := paged(r, all, func(x *resource.Route) *resource.Origin { return &x.Origin })
	if err != nil {
		return nil, err
	}
	routes := make([]wire.Route, len(page))
	for i, x := range page {
		p, _ := s.progressOf(r, x)
		routes[i] = routeAnswer(x, p)
	}
	return wire.Routes{Routes: routes, Page: where}, nil
}

// showRoute shows a route, with how many messages wait for it.
func (s *Server) showRoute(r *request) (any, error) {
	x := s.cfg.Directory.Route(r.Context(), r.routePath())
	if x == nil {
		return nil, wire.NotFound("Route")
	}
	p, t := s.progressOf(r, x)
	a := routeAnswer(x, p)
	if t == nil {
		return a, nil
	}
	page, err := s.cfg.Logs.Read(r.Context(), t.Name.String(), gateway.LogQuery{From: p.Next, Messages: 1})
	if err != nil {
		return nil, unread(err)
	}
	lag := page.Next - page.At
	a.Progress.Lag = &lag
	if len(page.Messages) > 0 {
		a.Progress.WaitingSince = wire.Moment(time.UnixMilli(page.Messages[0].Timestamp))
	}
	return a, nil
}

func (s *Server) createRoute(r *request) (any, error) {
	asked, err := wire.DecodeStrictly[wire.RouteRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("Route")
	}
	project, topic, ok := wire.Topic(asked.Topic)
	if !ok || project != r.project.Name {
		return nil, wire.InvalidName("Topic")
	}
	if s.cfg.Directory.Route(r.Context(), r.routePath()) != nil {
		return nil, wire.Exists("Route")
	}
	t := s.cfg.Directory.Topic(r.Context(), resource.Name{Project: project, Name: topic})
	if t == nil {
		return nil, wire.NotFound("Topic")
	}
	made := resource.Route{Name: r.routePath(), Topic: topic, Log: t.ID}
	if err := s.wantedRoute(r, &made, &asked); err != nil {
		return nil, err
	}
	if made.Start, err = s.wantedStart(r, t, asked.From); err != nil {
		return nil, err
	}
	x, err := s.cfg.Directory.CreateRoute(r.Context(), made, r.caller.id())
	switch kind := gateway.KindOf(err); {
	case err == nil:
		return routeAnswer(x, s.cfg.Directory.ProgressOf(x, t)), nil
	case kind == gateway.NotFound:
		return nil, wire.NotFound("Topic")
	case kind == gateway.Invalid, kind == gateway.Limit:
		return nil, wire.Invalid(gateway.TextOf(err))
	}
	return nil, in(err, "Route")
}

// wantedRoute fills in what a route does. Targets that are the same for all messages have to be there. The error is for the client.
func (s *Server) wantedRoute(r *request, made *resource.Route, asked *wire.RouteRequest) error {
	made.Selector, made.Attributes = asked.Selector, asked.Attributes
	if asked.Data != nil {
		made.Pointer, made.Fields = asked.Data.Pointer, asked.Data.Fields
	}
	for _, target := range asked.Targets {
		template, ok := wire.Target(target, r.project.Name)
		if !ok {
			return wire.Invalid("A target is a topic of the route's own project: projects/" + r.project.Name + "/topics/NAME")
		}
		made.Targets = append(made.Targets, template)
	}
	rule, err := copying.Parse(made.Spec)
	if err != nil {
		return wire.Invalid(gateway.TextOf(err))
	}
	for _, name := range rule.Samples() {
		if !wire.ValidName(name) {
			return wire.InvalidName("Topic")
		}
	}
	needed := rule.Constants()
	if asked.DeadLetters != "" {
		project, name, ok := wire.Topic(asked.DeadLetters)
		if !ok || project != r.project.Name {
			return wire.InvalidName("Topic")
		}
		for _, constant := range needed {
			if constant == name {
				return wire.Invalid("A target cannot be the topic of dead letters as well")
			}
		}
		made.DeadLetters, needed = name, append(needed, name)
	}
	for _, name := range needed {
		if s.cfg.Directory.Topic(r.Context(), resource.Name{Project: r.project.Name, Name: name}) == nil {
			return wire.NotFoundText("Topic " + name + " doesn't exist")
		}
	}
	return nil
}

// wantedStart is the offset of the first message that a route copies. The error is for the client.
func (s *Server) wantedStart(r *request, t *resource.Topic, from wire.Loose) (uint64, error) {
	page, err := s.cfg.Logs.Read(r.Context(), t.Name.String(), gateway.LogQuery{})
	if err != nil {
		return 0, unread(err)
	}
	switch from {
	case "", atEnd:
		return page.Next, nil
	case atFront:
		return page.First, nil
	}
	offset, err := strconv.ParseUint(string(from), 10, 63)
	if err != nil || offset > page.Next {
		return 0, wire.Invalid("A route begins at 'latest', 'earliest' or an offset of the topic")
	}
	return offset, nil
}

func (s *Server) deleteRoute(r *request) (any, error) {
	return nil, in(s.cfg.Directory.DeleteRoute(r.Context(), r.routePath()), "Route")
}
