package wire

import "strings"

// MaxName is how long a name may be, in bytes.
const MaxName = 100

// ValidName reports whether something can be the name of a project, a topic, a subscription, a user or a schema.
func ValidName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// Topic is the project and the name in "projects/P/topics/T"; not ok if it is anything else.
func Topic(s string) (project, name string, ok bool) { return within(s, "topics") }

// Schema is that of "projects/P/schemas/X".
func Schema(s string) (project, name string, ok bool) { return within(s, "schemas") }

func within(s, collection string) (project, name string, ok bool) {
	rest, ok := strings.CutPrefix(s, "projects/")
	if !ok {
		return "", "", false
	}
	project, rest, _ = strings.Cut(rest, "/")
	name, ok = strings.CutPrefix(rest, collection+"/")
	return project, name, ok && ValidName(project) && ValidName(name)
}

// Router finds the route of a path. It does not change once it is made.
type Router[R any] struct {
	routes map[shape][]pattern[R]
}

// shape is what paths have in common that may be of one route.
type shape struct {
	method   string
	segments int
	verb     string
}

type pattern[R any] struct {
	segments []string // "{name}" stands for any
	route    R
}

// Vars are the names in a path, in its order.
type Vars []Var

// Var is one of them.
type Var struct{ Name, Value string }

// Get returns the value of a name in the path, empty if it has none.
func (v Vars) Get(name string) string {
	for i := range v {
		if v[i].Name == name {
			return v[i].Value
		}
	}
	return ""
}

// Invalid returns what is wrong with the first value that cannot be a name, nil if all can.
func (v Vars) Invalid() *Problem {
	for i := range v {
		if !ValidName(v[i].Value) {
			return InvalidName(v[i].Name)
		}
	}
	return nil
}

// Add adds a route: "/projects/{project}/topics/{topic}:publish". Of two that fit a path the one that was added first counts.
func (r *Router[R]) Add(method, path string, route R) {
	if r.routes == nil {
		r.routes = make(map[shape][]pattern[R])
	}
	path, verb := cutVerb(path)
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	s := shape{method, len(segments), verb}
	r.routes[s] = append(r.routes[s], pattern[R]{segments, route})
}

// cutVerb takes what follows a colon in the last segment off.
func cutVerb(path string) (rest, verb string) {
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') {
		return path[:i], path[i+1:]
	}
	return path, ""
}

// mostSegments is how many a path of ours has at most.
const mostSegments = 8

// Find returns the route of a path. What is no verb of any route is taken for a part of the name, which then is no valid one.
func (r *Router[R]) Find(method, path string) (route R, vars Vars, ok bool) {
	if rest, verb := cutVerb(path); verb != "" {
		if route, vars, ok = r.find(method, rest, verb); ok {
			return route, vars, true
		}
	}
	return r.find(method, path, "")
}

func (r *Router[R]) find(method, path, verb string) (route R, vars Vars, ok bool) {
	rest, found := strings.CutPrefix(path, "/")
	n := strings.Count(rest, "/") + 1
	if !found || n > mostSegments {
		return route, nil, false
	}
next:
	for _, p := range r.routes[shape{method, n, verb}] {
		vars = vars[:0]
		left := rest
		for _, want := range p.segments {
			var segment string
			segment, left, _ = strings.Cut(left, "/")
			switch {
			case want[0] == '{' && segment != "":
				vars = append(vars, Var{want[1 : len(want)-1], segment})
			case want != segment:
				continue next
			}
		}
		return p.route, vars, true
	}
	return route, nil, false
}
