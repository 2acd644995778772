package pubsub

import (
	"net/http"
	"strconv"
)

// Handler is what the door answers with, without its listener.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// PullOthers has the door be asked for messages of so many other subscriptions that it cannot remember it.
func (s *Server) PullOthers() {
	for i := range pullsMost {
		s.pulls.put("other "+strconv.Itoa(i), pulled{})
	}
}

// Routes are the paths of all routes, with their methods and roles.
func Routes() (all [][3]string) {
	for _, r := range routes() {
		roles := ""
		for _, role := range r.roles {
			roles += " " + role
		}
		all = append(all, [3]string{r.method, r.path, roles})
	}
	return all
}

// Shown is a path as the log has it.
func Shown(path string) string { return shown(path) }
