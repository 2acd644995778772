package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Sources are where a configuration comes from: flags over SLUICE_*
// environment over the file over defaults.
type Sources struct {
	// File is a path; empty is no file.
	File string
	// Dev: data goes to ./data unless something else says otherwise.
	Dev bool
	// Flags that were defined by addFlags; nil is none.
	Flags *pflag.FlagSet
	// Environ are "NAME=value" pairs; nil is an empty environment.
	Environ []string
	// Look finds what is wrong with what a configuration names, beyond itself; nil is that nobody looks.
	Look func(Config) (found Problems, warnings []string)
}

// directory is that of the file; empty without one.
func (s Sources) directory() string {
	if s.File == "" {
		return ""
	}
	return filepath.Dir(s.File)
}

// settingFlags are the flags that stand for one key each.
func settingFlags() map[string]string {
	return map[string]string{"data_dir": "data-dir", "log.level": "log-level", "log.format": "log-format"}
}

// listenFlag changes the list of listeners; see override.
const listenFlag = "listen"

// loading is a configuration that comes together.
type loading struct {
	sources  Sources
	viper    *viper.Viper
	doc      *document
	origins  map[string]string // who outside the file said a key
	problems Problems
	listen   []Listener
}

// Load brings a configuration together. Warnings are things that are odd but
// possible. If anything is wrong, the error is of type Problems and has all of it;
// a file that cannot be read is another error.
func Load(s Sources) (c Config, warnings []string, err error) {
	l := &loading{sources: s, viper: viper.New(), doc: &document{}, origins: map[string]string{}}
	l.defaults()
	if s.File != "" {
		text, err := os.ReadFile(s.File)
		if err != nil {
			return c, nil, fmt.Errorf("read the configuration: %w", err)
		}
		l.doc = readDocument(s.File, text)
		l.problems = l.doc.problems
		if err := l.viper.MergeConfigMap(l.doc.values); err != nil {
			return c, nil, fmt.Errorf("read the configuration %s: %w", s.File, err)
		}
	}
	warnings = l.environment()
	l.flags()
	if c, err = l.decode(); err != nil {
		return c, warnings, err
	}
	for _, p := range Validate(c) {
		l.add(p)
	}
	if s.Look != nil {
		found, odd := s.Look(c)
		for _, p := range found {
			l.add(p)
		}
		warnings = append(warnings, odd...)
	}
	if len(l.problems) > 0 {
		return c, warnings, l.problems.sorted()
	}
	return c, append(warnings, Warnings(c)...), nil
}

func (l *loading) defaults() {
	d := Default()
	if l.sources.Dev {
		d.DataDir = "./data"
		d.Listeners = append(d.Listeners, devPubSub())
	}
	for _, leaf := range leaves(reflect.TypeFor[Config](), "") {
		if v, ok := lookup(reflect.ValueOf(d), leaf.path); ok && (v.Kind() != reflect.Slice || v.Len() > 0) {
			l.viper.SetDefault(leaf.path, plain(v))
		}
	}
}

// environment takes the variables that mean something and warns of the others.
func (l *loading) environment() (warnings []string) {
	byName := map[string]leaf{}
	names := []string{strings.TrimPrefix(configVariable, envPrefix)}
	for _, leaf := range leaves(reflect.TypeFor[Config](), "") {
		byName[leaf.env()] = leaf
		names = append(names, strings.TrimPrefix(leaf.env(), envPrefix))
	}
	for _, pair := range l.sources.Environ {
		name, value, _ := strings.Cut(pair, "=")
		leaf, known := byName[name]
		switch {
		case !strings.HasPrefix(name, envPrefix) || name == configVariable || known && value == "":
		case !known:
			warning := "environment variable " + name + " means nothing"
			if meant := nearest(strings.TrimPrefix(name, envPrefix), names); meant != "" {
				warning += ", did you mean " + envPrefix + meant + "?"
			}
			warnings = append(warnings, warning)
		default:
			l.set(leaf, name, value)
		}
	}
	return warnings
}

// configVariable names the file when no flag does.
const configVariable = envPrefix + "CONFIG"

func (l *loading) flags() {
	if l.sources.Flags == nil {
		return
	}
	for _, leaf := range leaves(reflect.TypeFor[Config](), "") {
		f := l.sources.Flags.Lookup(settingFlags()[leaf.path])
		if f == nil || !f.Changed {
			continue
		}
		l.set(leaf, "--"+f.Name, f.Value.String())
	}
	words, err := l.sources.Flags.GetStringArray(listenFlag)
	if err != nil {
		return
	}
	for _, w := range words {
		given, err := parseListener(w)
		if err != nil {
			l.problems = append(l.problems, Problem{Origin: "--" + listenFlag, Text: err.Error()})
			continue
		}
		l.origins["listeners"] = "--" + listenFlag
		l.listen = append(l.listen, given)
	}
}

// set takes what a flag or variable says about a key, if it can be understood.
// It goes over the file, and over what was set before.
func (l *loading) set(leaf leaf, origin, value string) {
	if err := checkWord(leaf.typ, value); err != nil {
		l.problems = append(l.problems, Problem{Origin: origin, Text: err.Error()})
		return
	}
	l.origins[leaf.path] = origin
	l.viper.Set(leaf.path, value)
}

// checkWord is checkScalar that knows lists: their members stand between commas.
func checkWord(t reflect.Type, word string) error {
	if t.Kind() != reflect.Slice {
		return checkScalar(t, word)
	}
	var all []error
	if e := t.Elem(); e != reflect.TypeFor[Listener]() && !isScalar(e) {
		return errors.New("is possible in a file only")
	}
	for w := range strings.SplitSeq(word, ",") {
		if t.Elem() == reflect.TypeFor[Listener]() {
			_, err := parseListener(w)
			all = append(all, err)
			continue
		}
		all = append(all, checkScalar(t.Elem(), strings.TrimSpace(w)))
	}
	return errors.Join(all...)
}

func (l *loading) decode() (Config, error) {
	var c Config
	err := l.viper.Unmarshal(&c, viper.DecodeHook(wordHook()), func(dc *mapstructure.DecoderConfig) { dc.TagName = yamlTag })
	if err != nil {
		return c, fmt.Errorf("decode the configuration: %w", err)
	}
	c.Listeners = override(c.Listeners, l.listen)
	c.expand(l.viper.IsSet("listeners") && l.origins["listeners"] != "" || l.doc.values["listeners"] != nil)
	for i := range c.Listeners {
		c.Listeners[i].fill()
	}
	if c.Auth != nil {
		c.Auth.fill(l.doc)
	}
	if len(c.Limits.Quotas) == 0 {
		c.Limits.Quotas = nil
	}
	if len(c.Policies) == 0 {
		c.Policies = nil
	}
	fillPolicies(c.Policies, l.doc)
	c.PubSub.Push.fill()
	if l.sources.File != "" {
		locate(reflect.ValueOf(&c).Elem(), l.sources.directory())
	}
	if c.Cluster != nil && !l.viper.IsSet("cluster.replicas") {
		c.Cluster.Replicas = defaultReplicas
	}
	return c, nil
}

// wordHook turns the words of a configuration into values.
func wordHook() mapstructure.DecodeHookFunc {
	return mapstructure.ComposeDecodeHookFunc(decodeWord, mapstructure.TextUnmarshallerHookFunc())
}

// decodeWord reads what flags and the environment have instead of structure:
// members of lists stand between commas, listeners are protocol=address.
func decodeWord(_, to reflect.Type, value any) (any, error) {
	word, ok := value.(string)
	switch {
	case !ok:
		return value, nil
	case to.Kind() == reflect.Slice:
		return strings.Split(word, ","), nil
	case to == reflect.TypeFor[Listener]():
		return parseListener(word)
	}
	return strings.TrimSpace(word), nil
}

// add takes a problem of the whole, unless its cause is known already, and says
// who brought it about.
func (l *loading) add(p Problem) {
	for _, known := range l.problems {
		if known.Path != "" && strings.HasPrefix(known.Path, p.Path) {
			return
		}
	}
	for path := p.Path; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
		if origin, ok := l.origins[path]; ok {
			p.Origin = origin
			break
		}
		if at, ok := l.doc.at[path]; ok {
			p.Origin, p.at = l.doc.origin(at), at
			break
		}
	}
	if p.Origin == "" {
		p.Origin = l.doc.name
	}
	l.problems = append(l.problems, p)
}

// warnings are what the owner of a listener should know.
func (l Listener) warnings(a *Auth) (all []string) {
	if t := l.TLS; t != nil && (t.MinVersion == "1.0" || t.MinVersion == "1.1") {
		all = append(all, fmt.Sprintf("OLD TLS: the %s listener %v speaks TLS %s, which can be broken; it is for clients that know nothing else", l.Protocol, l.Address, t.MinVersion))
	}
	if l.Address.Loopback() || a == nil {
		return all
	}
	if a.Anonymous && l.Protocol != Admin {
		whom := "whoever connects may do what the rules allow to anonymous clients"
		if len(a.ACL) == 0 {
			whom = "whoever connects may read and write everything"
		}
		all = append(all, fmt.Sprintf("ANONYMOUS ACCESS: the %s listener %v can be reached from other machines, and %s", l.Protocol, l.Address, whom))
	}
	if l.TLS == nil && !a.Anonymous {
		all = append(all, fmt.Sprintf("the %s listener %v has no tls: passwords cross the network as they are", l.Protocol, l.Address))
	}
	return all
}

// Warnings are things in a sound configuration that its owner should know.
func Warnings(c Config) []string {
	var all []string
	for _, l := range c.Listeners {
		all = append(all, l.warnings(c.Auth)...)
	}
	all = append(all, c.PubSub.warnings()...)
	if a := c.Auth; a != nil && len(a.ACL) == 0 && !a.Anonymous {
		all = append(all, "auth.acl has no rules: nobody may do anything")
	}
	if c.Durability == Relaxed {
		all = append(all, `durability is "relaxed": a power cut may lose persistent messages whose receipts were sent`)
	}
	return all
}
