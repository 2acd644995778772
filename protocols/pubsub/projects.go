package pubsub

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// in gives the errors of the directory the words of the API, for a thing of that kind: "Topic".
func in(err error, thing string) error {
	switch {
	case err == nil:
		return nil
	case gateway.KindOf(err) == gateway.NotFound:
		return wire.NotFound(thing)
	case gateway.KindOf(err) == gateway.Conflict:
		return wire.Exists(thing)
	}
	return err
}

func (s *Server) projectAnswer(p *resource.Project) wire.Project {
	return wire.Project{
		Name: p.Name, Created: wire.Second(p.CreatedAt()), Modified: wire.Second(p.ModifiedAt()), CreatedBy: s.nameOf(p.CreatedBy), Description: p.Description,
	}
}

// nameOf is the name of a user by ID, empty if there is none.
func (s *Server) nameOf(id string) string {
	if id == "" {
		return ""
	}
	if names := s.cfg.Directory.NamesOf([]string{id}); len(names) > 0 {
		return names[0]
	}
	return ""
}

func (s *Server) listProjects(*request) (any, error) {
	var all wire.Projects
	for _, p := range s.cfg.Directory.Projects() {
		all.Projects = append(all.Projects, s.projectAnswer(p))
	}
	return all, nil
}

func (s *Server) showProject(r *request) (any, error) { return s.projectAnswer(r.project), nil }

func (s *Server) createProject(r *request) (any, error) {
	asked, err := wire.Decode[wire.ProjectRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("Project")
	}
	description := ""
	if asked.Description != nil {
		description = *asked.Description
	}
	p, err := s.cfg.Directory.CreateProject(r.Context(), r.vars.Get("project"), description, r.caller.id())
	if err != nil {
		return nil, in(err, "Project")
	}
	return s.projectAnswer(p), nil
}

func (s *Server) changeProject(r *request) (any, error) {
	asked, err := wire.Decode[wire.ProjectRequest](r.body)
	if err != nil {
		return nil, wire.InvalidBody()
	}
	if asked.Name != nil && *asked.Name != "" && *asked.Name != r.project.Name {
		return nil, wire.Invalid("a project keeps its name: its topics are known by it elsewhere")
	}
	p := r.project
	if asked.Description != nil {
		if p, err = s.cfg.Directory.ChangeProject(r.Context(), p.Name, *asked.Description); err != nil {
			return nil, in(err, "Project")
		}
	}
	return s.projectAnswer(p), nil
}

func (s *Server) deleteProject(r *request) (any, error) {
	return nil, in(s.cfg.Directory.DeleteProject(r.Context(), r.project.Name), "Project")
}
