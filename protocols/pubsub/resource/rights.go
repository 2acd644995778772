package resource

import (
	"context"
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// Method is how principals say that they are users of this directory.
	Method = "pubsub"
	// NamePrefix begins their names: those of other directories are other people.
	NamePrefix = "pubsub/"
	// group is the one that all of them are in.
	group = "pubsub"
)

// The roles that mean something beyond the HTTP API.
const (
	roleServiceAdmin = "service_admin"
	roleAlmighty     = "_admin_"
	roleProjectAdmin = "project_admin"
	rolePublisher    = "publisher"
	roleConsumer     = "consumer"
)

// VerifyToken tells whose token it is; found is false if it is nobody's here. It has the form of auth.Tokens, so that a user's token opens every door.
func (d *Directory) VerifyToken(ctx context.Context, token string) (p gateway.Principal, found bool, err error) {
	if d.service(SumOf(token)) {
		return principal("", SumOf(token)), true, nil
	}
	u := d.UserByToken(ctx, token)
	if u == nil {
		return gateway.Principal{}, false, nil
	}
	return principal(u.Name, SumOf(token)), true, nil
}

// service reports whether a sum is that of the service token.
func (d *Directory) service(sum string) bool {
	of := d.serviceSum.Load()
	return *of != "" && subtle.ConstantTimeCompare([]byte(sum), []byte(*of)) == 1
}

// Trust has another service token do everything, and tokens be lent that are made of another secret: those that were lent before are nobody's. Either may be empty, as in a Config.
func (d *Directory) Trust(service, loan string) {
	sum, key := "", loanKey(loan)
	if service != "" {
		sum = SumOf(service)
	}
	d.serviceSum.Store(&sum)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.people {
		d.unlearn(u)
	}
	d.loanKey.Store(&key)
	for _, u := range d.people {
		d.recognise(u)
	}
}

func principal(name, sum string) gateway.Principal {
	return gateway.Principal{Name: NamePrefix + name, Groups: []string{group}, Method: Method, Proof: sum}
}

// Renew tells who a principal of VerifyToken is now. found is false for all others. It has the form of auth.Renewer.
func (d *Directory) Renew(p gateway.Principal) (now gateway.Principal, found bool, err error) {
	switch {
	case p.Method != Method:
		return gateway.Principal{}, false, nil
	}
	d.mu.RLock()
	u, service := d.who(p)
	d.mu.RUnlock()
	switch {
	case service:
		return principal("", p.Proof), true, nil
	case u == nil:
		return gateway.Principal{}, true, gateway.Errorf(gateway.Unauthenticated, "The token is another one now, or the user is gone.")
	}
	return principal(u.Name, p.Proof), true, nil
}

// who finds whom a principal of VerifyToken stands for: by its proof, or without one by its name. The lock is held.
func (d *Directory) who(p gateway.Principal) (u *User, service bool) {
	if p.Proof != "" {
		return d.tokens[p.Proof], d.service(p.Proof)
	}
	name := strings.TrimPrefix(p.Name, NamePrefix)
	return d.current(name), name == "" && *d.serviceSum.Load() != ""
}

// Rights are what a principal of VerifyToken may do with topics and durable subscriptions at this moment, on every door. An administrator of a project may do
// everything in it. A publisher writes to the topics whose ACLs name him. A consumer reads the subscriptions whose ACLs name him, and their topics.
func (d *Directory) Rights(p gateway.Principal) gateway.Rights {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := &rights{who: p.Name, writes: make(map[string]struct{}), reads: make(map[string]struct{}), held: make(map[string]struct{}), governs: make(map[string]struct{})}
	if p.Method != Method {
		return r
	}
	u, service := d.who(p)
	r.everything = service || u != nil && u.Almighty()
	if r.everything || u == nil {
		return r
	}
	roles := make(map[string][]string) // by project
	for name, project := range d.projects {
		if all := slices.Concat(u.ServiceRoles, u.Roles(project)); u.Member(project) || len(u.ServiceRoles) > 0 {
			roles[name] = all
			if slices.ContainsFunc(all, governing) {
				r.governs[name] = struct{}{}
			}
		}
	}
	for n, t := range d.topics {
		if slices.Contains(roles[n.Project], rolePublisher) && May(t.ACL, u) {
			r.writes[n.String()] = struct{}{}
		}
	}
	for n, s := range d.subscriptions {
		if slices.Contains(roles[n.Project], roleConsumer) && May(s.ACL, u) {
			r.held[n.Project+":"+n.Name] = struct{}{}
			r.reads[Name{n.Project, s.Topic}.String()] = struct{}{}
		}
	}
	return r
}

// governing reports whether a role, in a project, is one of those with which the API lets somebody do everything in it.
func governing(role string) bool {
	return role == roleProjectAdmin || role == roleServiceAdmin || role == roleAlmighty
}

// rights implement gateway.Rights. They do not change.
type rights struct {
	who        string
	everything bool
	// governs are projects; writes and reads topics as other doors name them; held are durable subscriptions.
	governs, writes, reads, held map[string]struct{}
}

// May implements gateway.Rights.
func (r *rights) May(a gateway.Action, d gateway.Destination) error {
	if r.may(a, d) {
		return nil
	}
	return gateway.Errorf(gateway.Denied, "User %s is not authorized to %s: %s", r.who, a, d)
}

func (r *rights) may(a gateway.Action, d gateway.Destination) bool {
	switch d.Kind {
	case gateway.KindTopic:
		if d.IsPattern() {
			return r.some(a, d.Name)
		}
		return r.topic(a, d.Name)
	case gateway.KindSubscription:
		project, _, ok := strings.Cut(d.Name, ":")
		_, holds := r.held[d.Name]
		return ok && (r.governed(project) || holds && a == gateway.Read)
	case gateway.KindQueue, gateway.KindTempQueue, gateway.KindTempTopic:
	}
	return false
}

// governed reports whether everything of a project is allowed.
func (r *rights) governed(project string) bool {
	_, governs := r.governs[project]
	return r.everything || governs
}

func (r *rights) topic(a gateway.Action, name string) bool {
	project, rest, ok := strings.Cut(name, ".")
	if !ok || strings.Contains(rest, ".") { // it is in no project
		return false
	}
	if r.governed(project) {
		return true
	}
	_, reads := r.reads[name]
	_, writes := r.writes[name]
	switch a {
	case gateway.Read:
		return reads
	case gateway.Write:
		return writes
	case gateway.Create: // of what there is already
		return reads || writes
	case gateway.Manage:
	}
	return false
}

// some reports whether a pattern matches a topic with which the action is allowed.
func (r *rights) some(a gateway.Action, pattern string) bool {
	project, rest, _ := strings.Cut(pattern, ".")
	if r.everything {
		return true
	}
	for name := range r.governs {
		if (project == name || project == "*" || project == ">") && !strings.Contains(strings.TrimSuffix(rest, ".>"), ".") {
			return true
		}
	}
	for _, all := range []map[string]struct{}{r.reads, r.writes} {
		for name := range all {
			if gateway.Matches(pattern, name) && r.topic(a, name) {
				return true
			}
		}
	}
	return false
}

// All implements gateway.Rights.
func (r *rights) All(a gateway.Action, d gateway.Destination) bool {
	if !d.IsPattern() {
		return r.may(a, d)
	}
	project, rest, _ := strings.Cut(d.Name, ".")
	return d.Kind == gateway.KindTopic && rest == "*" && project != "*" && r.governed(project)
}

// Operate implements gateway.Rights: nobody here looks after nodes.
func (r *rights) Operate(operation string) error {
	return gateway.Errorf(gateway.Denied, "User %s is not authorized to manage: /admin/%s", r.who, operation)
}
