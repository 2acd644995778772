package pubsub

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schema"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// schemaPath is what the path of a request names.
func (r *request) schemaPath() resource.Name {
	return resource.Name{Project: r.project.Name, Name: r.vars.Get("schema")}
}

func schemaName(x *resource.Schema) string {
	return "projects/" + x.Project + "/schemas/" + x.Name.Name
}

func schemaAnswer(x *resource.Schema) wire.SchemaAnswer {
	a := wire.SchemaAnswer{UUID: x.ID, Name: schemaName(x), Type: x.Type, Schema: x.Text}
	if len(x.Attributes) > 0 {
		a.Attributes = &wire.AttributesSchema{Type: x.AttributesType, Schema: x.Attributes}
	}
	return a
}

func (s *Server) listSchemas(r *request) (any, error) {
	a := wire.Schemas{Schemas: []wire.SchemaAnswer{}}
	for _, x := range s.cfg.Directory.SchemasOf(r.project.Name) {
		a.Schemas = append(a.Schemas, schemaAnswer(x))
	}
	return styled{a, wire.Narrow}, nil
}

// theSchema is the one that the path names.
func (s *Server) theSchema(r *request) (*resource.Schema, error) {
	if x := s.cfg.Directory.Schema(r.Context(), r.schemaPath()); x != nil {
		return x, nil
	}
	return nil, wire.NotFound("Schema")
}

// showSchema shows a schema, or a revision of it.
func (s *Server) showSchema(r *request) (any, error) {
	x, err := s.theSchema(r)
	if err != nil {
		return nil, err
	}
	asked := r.URL.Query().Get("revision")
	if asked == "" {
		return styled{schemaAnswer(x), wire.Narrow}, nil
	}
	for _, a := range s.revisions(x) {
		if strconv.Itoa(a.Number) == asked {
			return styled{a, wire.Narrow}, nil
		}
	}
	return nil, wire.NotFound("Schema revision")
}

// revisions are those of a schema, under the name that it has now.
func (s *Server) revisions(x *resource.Schema) (all []wire.Revision) {
	for _, was := range s.cfg.Directory.Revisions(x) {
		a := schemaAnswer(was)
		a.Name = schemaName(x)
		all = append(all, wire.Revision{Number: was.Number, Since: wire.Second(was.ModifiedAt()), SchemaAnswer: a})
	}
	return all
}

func (s *Server) listRevisions(r *request) (any, error) {
	x, err := s.theSchema(r)
	if err != nil {
		return nil, err
	}
	return styled{wire.Revisions{Revisions: s.revisions(x)}, wire.Narrow}, nil
}

// wantedSchema changes a schema to what a client asks for; what it does not say stays. The error is for the client.
func wantedSchema(x *resource.Schema, asked *wire.SchemaRequest) error {
	if asked.Type != "" || x.Type == "" {
		kind, ok := schema.ParseKind(asked.Type)
		if !ok {
			return wire.Invalid("Schema type can only be 'json' or 'avro'")
		}
		x.Type = string(kind)
	}
	if asked.Schema != nil {
		x.Text = compact(asked.Schema)
	}
	if x.Text == nil {
		return wire.InvalidArguments("Schema")
	}
	if a := asked.Attributes; a != nil {
		x.AttributesType, x.Attributes = "", nil
		if a.Schema != nil {
			kind, ok := schema.ParseKind(a.Type)
			if !ok {
				return wire.Invalid("Schema type can only be 'json' or 'avro'")
			}
			x.AttributesType, x.Attributes = string(kind), compact(a.Schema)
		}
	}
	if len(x.Text)+len(x.Attributes) > schema.MaxText {
		return wire.Invalid(fmt.Sprintf("A schema may have %d bytes", schema.MaxText))
	}
	_, err := schema.Compile(schema.Text{Kind: schema.Kind(x.Type), Text: x.Text}, schema.Text{Kind: schema.Kind(x.AttributesType), Text: x.Attributes})
	if err != nil {
		return wire.Invalid(err.Error())
	}
	return nil
}

// compact writes what was read from JSON, with its keys in order.
func compact(v any) json.RawMessage { return wire.Encode(v, wire.Compact) }

func (s *Server) createSchema(r *request) (any, error) {
	asked, err := wire.DecodeExactly[wire.SchemaRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("Schema")
	}
	if s.cfg.Directory.Schema(r.Context(), r.schemaPath()) != nil {
		return nil, wire.Exists("Schema")
	}
	made := resource.Schema{Name: r.schemaPath()}
	if err := wantedSchema(&made, &asked); err != nil {
		return nil, err
	}
	x, err := s.cfg.Directory.CreateSchema(r.Context(), made, r.caller.id())
	if err != nil {
		return nil, schemaProblem(err)
	}
	return styled{schemaAnswer(x), wire.Narrow}, nil
}

// schemaProblem is what a client hears when its schema cannot be stored.
func schemaProblem(err error) error {
	if gateway.KindOf(err) == gateway.Limit {
		return wire.Invalid(gateway.TextOf(err))
	}
	return in(err, "Schema")
}

func (s *Server) changeSchema(r *request) (any, error) {
	if _, err := s.theSchema(r); err != nil {
		return nil, err
	}
	asked, err := wire.DecodeExactly[wire.SchemaRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("Schema")
	}
	name := r.schemaPath()
	if asked.Name != "" {
		project, other, ok := wire.Schema(asked.Name)
		if !ok || project != r.project.Name {
			return nil, wire.Invalid("wrong schema name declaration")
		}
		name.Name = other
	}
	var refused error
	x, err := s.cfg.Directory.ReviseSchema(r.Context(), r.schemaPath(), func(x *resource.Schema) error {
		x.Name = name
		refused = wantedSchema(x, &asked)
		return refused
	})
	switch {
	case refused != nil:
		return nil, refused
	case err != nil:
		return nil, schemaProblem(err)
	}
	return styled{schemaAnswer(x), wire.Narrow}, nil
}

func (s *Server) deleteSchema(r *request) (any, error) {
	return nil, in(s.cfg.Directory.DeleteSchema(r.Context(), r.schemaPath()), "Schema")
}

// validate says whether a message is what a schema asks for: of JSON the body is the data, of Avro it holds it in base64.
func (s *Server) validate(r *request) (any, error) {
	x, err := s.theSchema(r)
	if err != nil {
		return nil, err
	}
	data := r.body
	if x.Type == string(schema.Avro) {
		asked, err := wire.Decode[wire.PayloadRequest](r.body)
		switch {
		case err != nil:
			return nil, wire.InvalidBody()
		case asked.Data == nil:
			return nil, wire.InvalidArguments("Schema Payload")
		}
		if data, err = base64.StdEncoding.DecodeString(*asked.Data); err != nil {
			return nil, noBase64(0, err)
		}
	}
	compiled, err := x.Version().Schema()
	if err != nil {
		return nil, wire.Internal("Could not load schema for topic", err)
	}
	if err := compiled.CheckData(0, data); err != nil {
		return nil, err
	}
	return styled{wire.Done{Message: "Message validated successfully"}, wire.Narrow}, nil
}

// noBase64 is the service's refusal of a message, with its slip of the pen.
func noBase64(number int, err error) *wire.Problem {
	return wire.Invalid(fmt.Sprintf("Message %d is not in valid base64 enocding,%v", number, err))
}

// ruled returns why a message cannot be what the topic's schema asks for, before the broker looks at it.
func (s *Server) ruled(r *request, t *resource.Topic, number int, m *wire.MessageRequest) error {
	if t.Schema == "" {
		return nil
	}
	if s.cfg.Directory.SchemaByID(r.Context(), t.Schema) == nil {
		return wire.Internal("Could not load schema for topic", nil)
	}
	if _, ok := decoded(m.Data); !ok {
		_, err := base64.StdEncoding.DecodeString(m.Data)
		if err == nil {
			err = base64.CorruptInputError(len(m.Data))
		}
		return noBase64(number, err)
	}
	return nil
}

// namedSchema is the ID of the schema of that name; empty for none. The error is for the client.
func (s *Server) namedSchema(r *request, name string) (id string, err error) {
	if name == "" {
		return "", nil
	}
	project, own, ok := wire.Schema(name)
	if !ok || project != r.project.Name {
		return "", wire.Invalid("wrong schema name declaration")
	}
	x := s.cfg.Directory.Schema(r.Context(), resource.Name{Project: project, Name: own})
	if x == nil {
		return "", wire.NotFound("Schema")
	}
	return x.ID, nil
}

func (s *Server) attachSchema(r *request) (any, error) {
	if _, err := s.theTopic(r); err != nil {
		return nil, err
	}
	asked, err := wire.Decode[wire.TopicRequest](r.body)
	if err != nil {
		return nil, wire.InvalidBody()
	}
	if asked.Schema == "" {
		return nil, wire.Invalid("wrong schema name declaration")
	}
	id, err := s.namedSchema(r, asked.Schema)
	if err != nil {
		return nil, err
	}
	return nil, s.giveSchema(r, id)
}

func (s *Server) detachSchema(r *request) (any, error) { return nil, s.giveSchema(r, "") }

func (s *Server) giveSchema(r *request, id string) error {
	return in(s.cfg.Directory.ChangeTopic(r.Context(), r.topic(), func(t *resource.Topic) { t.Schema = id }), "Topic")
}
