package migrate

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schema"
	"github.com/sluice-mq/sluice/protocols/pubsub/push"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// within is the project that something is in, by ID; not ok: it is not here, which is said.
func (i *importer) within(thing, project string) (name string, ok bool) {
	if name = i.projects[project]; name == "" {
		i.leave(thing, "its project %.40q is not here", project)
	}
	return name, name != ""
}

func (i *importer) takeSchemas(e *Export) {
	names := make(map[resource.Name]string)
	for _, p := range i.Directory.Projects() {
		for _, s := range i.Directory.SchemasOf(p.Name) {
			names[s.Name] = s.ID
			i.schemas[s.ID] = struct{}{}
		}
	}
	for _, s := range e.schemas {
		thing := quoted("schema", s.Name)
		project, ok := i.within(thing, s.Project)
		if !ok {
			continue
		}
		name := resource.Name{Project: project, Name: s.Name}
		thing = quoted("schema", name.String())
		_, there := i.schemas[s.UUID]
		switch why := badName(s.Name, s.UUID); {
		case why != "":
			i.leave(thing, "%s", why)
			continue
		case there:
			i.count.There++
			continue
		case names[name] != "":
			i.leave(thing, "there is another one of that name")
			continue
		}
		made := &resource.Schema{Origin: i.origin(s.UUID, "", Time{}, Time{}, s.Made), Name: name, Owner: s.Project}
		if err := s.compile(made); err != nil {
			i.leave(thing, "%v", err)
			continue
		}
		if i.put(thing, func(ctx context.Context) error { return i.Directory.AdoptSchema(ctx, made) }) {
			names[name] = s.UUID
			i.schemas[s.UUID] = struct{}{}
		}
	}
}

// compile reads the text of a schema, which the service keeps in base64.
func (s *schemaText) compile(to *resource.Schema) error {
	kind, ok := schema.ParseKind(s.Type)
	if !ok {
		return fmt.Errorf("%.40q is no kind of schema", s.Type)
	}
	raw := bytes.TrimSpace([]byte(s.Raw))
	if !bytes.HasPrefix(raw, []byte("{")) {
		var err error
		if raw, err = base64.StdEncoding.DecodeString(string(raw)); err != nil {
			return fmt.Errorf("its text is not base64: %w", err)
		}
	}
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		return fmt.Errorf("its text is not JSON: %w", err)
	}
	if text.Len() > schema.MaxText || !bytes.HasPrefix(text.Bytes(), []byte("{")) {
		return fmt.Errorf("its text is no object, or longer than %d bytes", schema.MaxText)
	}
	to.Type, to.Text = string(kind), text.Bytes()
	if _, err := schema.Compile(schema.Text{Kind: kind, Text: to.Text}, schema.Text{}); err != nil {
		return fmt.Errorf("it is not understood: %w", err)
	}
	return nil
}

// ends are where the logs of topics end as far as the export knows, by the project's ID and the topic: behind what was said of them, behind what was published to them, and behind what
// subscriptions were given.
func (e *Export) logEnds() map[string]uint64 {
	all := make(map[string]uint64)
	raise := func(project, topic string, to Int) {
		if key := project + "." + topic; to > 0 {
			all[key] = min(max(all[key], uint64(to)), gateway.MaxFirst)
		}
	}
	for _, t := range e.topics {
		raise(t.Project, t.Name, t.Messages)
	}
	for _, s := range e.subscriptions {
		raise(s.Project, s.Topic, s.Offset)
		raise(s.Project, s.Topic, s.NextOffset)
	}
	for key, end := range e.ends {
		all[key] = min(max(all[key], end), gateway.MaxFirst)
	}
	return all
}

func (i *importer) takeTopics(e *Export) {
	for _, t := range i.Directory.Known() {
		i.topics[t.Name] = t
	}
	ends := e.logEnds()
	for _, t := range e.topics {
		thing := quoted("topic", t.Name)
		project, ok := i.within(thing, t.Project)
		if !ok {
			continue
		}
		name := resource.Name{Project: project, Name: t.Name}
		thing = quoted("topic", name.String())
		if why := badName(t.Name, "none"); why != "" {
			i.leave(thing, "%s", why)
			continue
		}
		if i.topics[name] != nil {
			i.count.There++
			continue
		}
		made := &resource.Topic{
			Origin: i.origin("", "", t.Created, Time{}, t.Made), Name: name, Retention: i.Retention.Milliseconds(), First: ends[t.Project+"."+t.Name],
			Schema: t.Schema, ACL: i.acl(t.ACL), Owner: t.Project,
		}
		if _, there := i.schemas[t.Schema]; t.Schema != "" && !there {
			i.note(thing, "its schema is not here, so that it takes no message until it is given another one, or POST .../topics/%s:detachSchema", t.Name)
		}
		if i.put(thing, func(ctx context.Context) error { return i.Directory.AdoptTopic(ctx, made) }) {
			i.topics[name] = made
			i.fresh[name] = struct{}{}
		}
	}
}

// acl are the users of a list who are here.
func (i *importer) acl(all []string) []string {
	return slices.DeleteFunc(filled(all), func(id string) bool { return i.people[id] == "" })
}

func (i *importer) takeSubscriptions(e *Export) {
	there := make(map[resource.Name]struct{})
	for _, p := range i.Directory.Projects() {
		for _, s := range i.Directory.SubscriptionsOf(p.Name) {
			there[s.Name] = struct{}{}
		}
	}
	for _, s := range e.subscriptions {
		thing := quoted("subscription", s.Name)
		project, ok := i.within(thing, s.Project)
		if !ok {
			continue
		}
		name := resource.Name{Project: project, Name: s.Name}
		thing = quoted("subscription", name.String())
		of := resource.Name{Project: project, Name: s.Topic}
		t := i.topics[of]
		_, known := there[name]
		switch why := badName(s.Name, "none"); {
		case why != "":
			i.leave(thing, "%s", why)
			continue
		case known:
			i.count.There++
			continue
		case t == nil:
			i.leave(thing, "its topic %.100q is not here", s.Topic)
			continue
		}
		// What comes before the log's first message is nowhere here; what was behind it there is not counted as here.
		start := min(uint64(max(s.Offset, 0)), t.First)
		if _, fresh := i.fresh[of]; fresh && start < t.First {
			i.note(thing, "the messages from offset %d on, up to %d, were not acknowledged there and are not here", start, t.First)
		}
		made := &resource.Subscription{
			Origin: i.origin("", "", s.Created, Time{}, s.Made), Name: name, Topic: s.Topic, Log: t.ID, Start: start, Deadline: int64(s.Ack),
			Push: i.push(thing, &s), ACL: i.acl(s.ACL), Owner: s.Project,
		}
		if made.Deadline <= 0 {
			made.Deadline = defaultDeadline
		}
		if i.put(thing, func(ctx context.Context) error { return i.Directory.AdoptSubscription(ctx, made) }) {
			there[name] = struct{}{}
		}
	}
}

// defaultDeadline is in seconds.
const defaultDeadline = 10

// push is where a subscription's messages are pushed to, with what its endpoint knows it by.
func (i *importer) push(thing string, s *subscription) resource.Push {
	kind := s.PushType
	switch { // older versions of the service knew one kind
	case kind == "" && s.PushEndpoint != "":
		kind = push.HTTPEndpoint
	case kind == "" && s.MattermostURL != "":
		kind = push.Mattermost
	}
	p := resource.Push{Type: kind, RetryType: s.RetryPolicy, RetryPeriod: int64(s.RetryPeriod), Base64Decode: s.Base64Decode}
	if p.RetryType != push.SlowStart {
		p.RetryType = push.Linear
	}
	if p.RetryPeriod <= 0 {
		p.RetryPeriod = push.DefaultPeriod
	}
	switch {
	case kind == "":
		return resource.Push{}
	case kind == push.HTTPEndpoint && push.ValidEndpoint(s.PushEndpoint):
		p.Endpoint, p.MaxMessages = s.PushEndpoint, max(int64(s.MaxMessages), 1)
		p.AuthorizationType, p.Authorization = s.AuthorizationType, s.AuthorizationHeader
		if p.Authorization == "" {
			p.AuthorizationType = "disabled"
		}
		if p.VerificationHash, p.Verified = s.VerificationHash, s.Verified; p.VerificationHash == "" {
			p.VerificationHash, p.Verified = resource.NewToken(), false
		}
		return p
	case kind == push.Mattermost && push.ValidEndpoint(s.MattermostURL):
		p.MattermostURL, p.MattermostUsername, p.MattermostChannel, p.Verified = s.MattermostURL, s.MattermostUsername, s.MattermostChannel, true
		return p
	}
	i.note(thing, "it is to be pulled here: where it was pushed to is no https address, or of the unknown kind %.40q", kind)
	return resource.Push{}
}
