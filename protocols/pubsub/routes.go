package pubsub

import (
	"slices"
	"sync/atomic"
	"time"
)

// route is one call of the API.
type route struct {
	method, path string
	// roles that may use it; nil: anybody with a token; open: anybody.
	roles []string
	open  bool
	// large: the body may be as long as a request with messages.
	large bool
	// waits is how long it may wait for something to come, beside the time for the store.
	waits time.Duration
	serve func(s *Server, r *request) (any, error)
	// answers are counted by the hundreds of their codes.
	answers [6]atomic.Uint64
}

const (
	aProject      = "/projects/{project}"
	aTopic        = aProject + "/topics/{topic}"
	aSubscription = aProject + "/subscriptions/{subscription}"
	aSchema       = aProject + "/schemas/{schema}"
	aRoute        = aProject + "/routes/{route}"
)

// routes are all of them. Of two that fit a path the first counts.
func routes() []*route {
	return slices.Concat(peopleRoutes(), registrationRoutes(), topicRoutes(), subscriptionRoutes(), schemaRoutes(), copyingRoutes())
}

func peopleRoutes() []*route {
	admins, only := []string{serviceAdmin, projectAdmin}, []string{serviceAdmin}
	viewers := []string{serviceAdmin, metricsViewer, projectAdmin}
	const p = aProject
	return []*route{
		{method: "GET", path: "/status", open: true, serve: (*Server).status},
		{method: "GET", path: "/version", open: true, serve: (*Server).version},

		{method: "GET", path: "/metrics", roles: viewers, serve: (*Server).nodeMetrics},
		{method: "GET", path: "/metrics/va_metrics", roles: viewers, serve: (*Server).vaMetrics},

		{method: "GET", path: "/projects", roles: only, serve: (*Server).listProjects},
		{method: "GET", path: p, roles: admins, serve: (*Server).showProject},
		{method: "POST", path: p, roles: only, serve: (*Server).createProject},
		{method: "PUT", path: p, roles: admins, serve: (*Server).changeProject},
		{method: "DELETE", path: p, roles: admins, serve: (*Server).deleteProject},
		{method: "GET", path: p + ":metrics", roles: admins, serve: (*Server).projectMetrics},

		{method: "GET", path: p + "/members", roles: admins, serve: (*Server).listMembers},
		{method: "GET", path: p + "/members/{user}", roles: admins, serve: (*Server).showMember},
		{method: "POST", path: p + "/members/{user}", roles: admins, serve: (*Server).createMember},
		{method: "PUT", path: p + "/members/{user}", roles: admins, serve: (*Server).changeMember},
		{method: "POST", path: p + "/members/{user}:add", roles: admins, serve: (*Server).addMember},
		{method: "POST", path: p + "/members/{user}:remove", roles: admins, serve: (*Server).removeMember},

		{method: "GET", path: "/users", roles: admins, serve: (*Server).listUsers},
		{method: "GET", path: "/users/profile", serve: (*Server).profile},
		{method: "GET", path: "/users/usageReport", serve: (*Server).usageReport},
		{method: "GET", path: "/users/{user}", roles: only, serve: (*Server).showUser},
		{method: "GET", path: "/users:byUUID/{uuid}", roles: []string{serviceAdmin, argoAuthn}, serve: (*Server).showUserByID},
		{method: "GET", path: "/users:byToken/{token}", roles: []string{serviceAdmin, pushWorker}, serve: (*Server).showUserByToken},
		{method: "POST", path: "/users/{user}", roles: only, serve: (*Server).createUser},
		{method: "PUT", path: "/users/{user}", roles: only, serve: (*Server).changeUser},
		{method: "DELETE", path: "/users/{user}", roles: only, serve: (*Server).deleteUser},
		{method: "POST", path: "/users/{user}:refreshToken", roles: only, serve: (*Server).refreshToken},
	}
}

func registrationRoutes() []*route {
	only := []string{serviceAdmin}
	const one = "/registrations/{uuid}"
	return []*route{
		{method: "POST", path: "/registrations", roles: []string{serviceAdmin, registerAdmin}, serve: (*Server).register},
		{method: "GET", path: "/registrations", roles: only, serve: (*Server).listRegistrations},
		{method: "GET", path: one, roles: only, serve: (*Server).showRegistration},
		{method: "POST", path: one + ":accept", roles: only, serve: (*Server).acceptRegistration},
		{method: "POST", path: one + ":decline", roles: only, serve: (*Server).declineRegistration},
		{method: "DELETE", path: one, roles: []string{almighty}, serve: (*Server).deleteRegistration},
	}
}

func topicRoutes() []*route {
	admins, writers := []string{serviceAdmin, projectAdmin}, []string{serviceAdmin, projectAdmin, publisher}
	const p, t = aProject, aTopic
	return []*route{
		{method: "GET", path: p + "/topics", roles: writers, serve: (*Server).listTopics},
		{method: "GET", path: t, roles: writers, serve: (*Server).showTopic},
		{method: "PUT", path: t, roles: admins, serve: (*Server).createTopic},
		{method: "DELETE", path: t, roles: admins, serve: (*Server).deleteTopic},
		{method: "POST", path: t + ":publish", roles: writers, large: true, serve: (*Server).publish},
		{method: "GET", path: t + "/subscriptions", roles: admins, serve: (*Server).listByTopic},
		{method: "GET", path: t + ":acl", roles: admins, serve: (*Server).showTopicACL},
		{method: "POST", path: t + ":modifyAcl", roles: admins, serve: (*Server).changeTopicACL},
		{method: "POST", path: t + ":modifyRetention", roles: admins, serve: (*Server).modifyRetention},
		{method: "POST", path: t + ":attachSchema", roles: admins, serve: (*Server).attachSchema},
		{method: "POST", path: t + ":detachSchema", roles: admins, serve: (*Server).detachSchema},
		{method: "GET", path: t + ":metrics", roles: writers, serve: (*Server).topicMetrics},
	}
}

func subscriptionRoutes() []*route {
	admins, readers := []string{serviceAdmin, projectAdmin}, []string{serviceAdmin, projectAdmin, consumer}
	workers := []string{serviceAdmin, projectAdmin, consumer, pushWorker}
	const p, n = aProject, aSubscription
	return []*route{
		{method: "GET", path: p + "/subscriptions", roles: readers, serve: (*Server).listSubscriptions},
		{method: "GET", path: n, roles: workers, serve: (*Server).showSubscription},
		{method: "PUT", path: n, roles: admins, serve: (*Server).createSubscription},
		{method: "DELETE", path: n, roles: admins, serve: (*Server).deleteSubscription},
		{method: "POST", path: n + ":pull", roles: workers, waits: longPoll, serve: (*Server).pull},
		{method: "POST", path: n + ":acknowledge", roles: workers, serve: (*Server).acknowledge},
		{method: "POST", path: n + ":modifyAckDeadline", roles: readers, serve: (*Server).changeDeadline},
		{method: "GET", path: n + ":offsets", roles: readers, serve: (*Server).offsets},
		{method: "POST", path: n + ":modifyOffset", roles: readers, serve: (*Server).changeOffset},
		{method: "POST", path: n + ":seek", roles: readers, serve: (*Server).seek},
		{method: "GET", path: n + ":timeToOffset", roles: readers, serve: (*Server).timeToOffset},
		{method: "GET", path: n + ":acl", roles: admins, serve: (*Server).showSubscriptionACL},
		{method: "POST", path: n + ":modifyAcl", roles: admins, serve: (*Server).changeSubscriptionACL},
		{method: "GET", path: n + ":metrics", roles: readers, serve: (*Server).subscriptionMetrics},
		{method: "POST", path: n + ":modifyPushConfig", roles: admins, serve: (*Server).changePush},
		{method: "POST", path: n + ":verifyPushEndpoint", roles: admins, serve: (*Server).verifyPush},
	}
}

func schemaRoutes() []*route {
	admins := []string{serviceAdmin, projectAdmin}
	const x = aSchema
	return []*route{
		{method: "GET", path: aProject + "/schemas", roles: admins, serve: (*Server).listSchemas},
		{method: "GET", path: x, roles: admins, serve: (*Server).showSchema},
		{method: "GET", path: x + ":revisions", roles: admins, serve: (*Server).listRevisions},
		{method: "POST", path: x, roles: admins, serve: (*Server).createSchema},
		{method: "PUT", path: x, roles: admins, serve: (*Server).changeSchema},
		{method: "DELETE", path: x, roles: admins, serve: (*Server).deleteSchema},
		{method: "POST", path: x + ":validate", roles: admins, large: true, serve: (*Server).validate},
	}
}

func copyingRoutes() []*route {
	admins := []string{serviceAdmin, projectAdmin}
	return []*route{
		{method: "GET", path: aProject + "/routes", roles: admins, serve: (*Server).listRoutes},
		{method: "GET", path: aRoute, roles: admins, serve: (*Server).showRoute},
		{method: "PUT", path: aRoute, roles: admins, serve: (*Server).createRoute},
		{method: "DELETE", path: aRoute, roles: admins, serve: (*Server).deleteRoute},
	}
}
