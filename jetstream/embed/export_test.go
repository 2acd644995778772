package embed

// SwitchOff stops the storage as the server itself does when its disk is full.
func (s *Server) SwitchOff() error { return s.ns.ShutdownJetStream() }
