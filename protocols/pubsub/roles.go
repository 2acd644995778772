package pubsub

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// The roles, as the service has them in production.
const (
	serviceAdmin  = "service_admin"
	projectAdmin  = "project_admin"
	publisher     = "publisher"
	consumer      = "consumer"
	pushWorker    = "push_worker"
	metricsViewer = "metrics_viewer"
	adminViewer   = "admin_viewer"
	argoAuthn     = "argo_api_authn"
	registerAdmin = "register_admin"
	// almighty may use every route.
	almighty = "_admin_"
)

// ValidRole reports whether there is such a role.
func ValidRole(s string) bool {
	switch s {
	case serviceAdmin, projectAdmin, publisher, consumer, pushWorker, metricsViewer, adminViewer, argoAuthn, registerAdmin, almighty:
		return true
	}
	return false
}

// caller is who makes a request.
type caller struct {
	// user is nil for the service token, and for guests.
	user  *resource.User
	guest bool
	// roles are those for the route: those in its project, and those everywhere. privileged: one of the latter is an administrator's of everything; those of a project give
	// each other what roles they like in it.
	roles      []string
	privileged bool
	shown      gateway.Credentials
}

// id is the caller's user ID, empty for who is no user.
func (c *caller) id() string {
	if c.user == nil {
		return ""
	}
	return c.user.ID
}

// is reports whether the caller has a role.
func (c *caller) is(role string) bool { return slices.Contains(c.roles, role) }

// everywhere gives the caller roles that are not those of a project. Who is privileged by them sees tokens and everybody's projects.
func (c *caller) everywhere(roles ...string) {
	c.roles, c.privileged = slices.Clip(roles), slices.Contains(roles, serviceAdmin) || slices.Contains(roles, almighty)
}

// may reports whether one of the roles is among those of a route.
func (c *caller) may(allowed []string) bool {
	return slices.ContainsFunc(c.roles, func(r string) bool { return r == almighty || slices.Contains(allowed, r) })
}

// limited reports whether the caller sees only what names him in its ACL: as a publisher, or a consumer, and no administrator.
func (c *caller) limited(role string) bool {
	return c.is(role) && !c.is(projectAdmin) && !c.privileged
}

// barred reports whether an ACL keeps the caller out: it counts for whoever has the role, administrators included.
func (c *caller) barred(role string, acl []string) bool {
	return c.is(role) && !c.guest && !resource.May(acl, c.user) // of a guest the rules were asked
}
