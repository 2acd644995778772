package ldap

import "sync"

// maxRemembered is how many logins, and how many people, are remembered.
const maxRemembered = 10_000

// memory is what was found out last. Safe for concurrent use.
type memory struct {
	*settings
	mu sync.Mutex
	// logins are people by how they logged in, names those by what they are called.
	logins, names map[string]person
}

func newMemory(s *settings) *memory {
	return &memory{settings: s, logins: map[string]person{}, names: map[string]person{}}
}

// fresh returns who a login was a short while ago.
func (m *memory) fresh(login string) (person, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	who, ok := m.logins[login]
	age := m.Now().Sub(who.found)
	return who, ok && m.Remember > 0 && age >= 0 && age < m.Remember
}

// person returns what is remembered of somebody by the name, however old.
func (m *memory) person(name string) (person, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	who, ok := m.names[name]
	return who, ok
}

// keep remembers somebody, and forgets somebody else if there are too many.
func (m *memory) keep(login string, who person) {
	m.mu.Lock()
	defer m.mu.Unlock()
	put(m.logins, login, who)
	put(m.names, who.name, who)
}

func put(people map[string]person, key string, who person) {
	if _, there := people[key]; !there && len(people) >= maxRemembered {
		for other := range people {
			delete(people, other)
			break
		}
	}
	people[key] = who
}

// forget remembers that there is no such login any more, if there was one.
func (m *memory) forget(login string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if who, ok := m.logins[login]; ok {
		delete(m.logins, login)
		if who.name == login { // else it was another spelling
			put(m.names, who.name, person{gone: true})
		}
	}
}
