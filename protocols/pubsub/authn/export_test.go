package authn

import "net/http"

// Handler is what the door answers with, without its listener.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Route is a call of the API.
type Route struct {
	Method, Path string
	Open         bool
}

// Routes are all of them.
func Routes() (all []Route) {
	for _, r := range routes() {
		all = append(all, Route{r.method, r.path, r.open})
	}
	return all
}
