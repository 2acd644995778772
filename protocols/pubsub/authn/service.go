package authn

// Version is what runs. The order of the fields is that of the service.
type Version struct {
	BuildTime    string `json:"build_time"`
	Go           string `json:"golang"`
	Compiler     string `json:"compiler"`
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Release      string `json:"release,omitempty"`
	Distro       string `json:"distro,omitempty"`
}

// version says what runs, and its release to administrators.
func (s *Server) version(r *request) (any, error) {
	v := s.cfg.Version
	if !s.administrator(r) {
		v.Release = ""
	}
	return v, nil
}

// health says that the door is open.
func (s *Server) health(*request) (any, error) { return nil, nil }
