package tests

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sluice-mq/sluice"

// exceptions are the places where a rule does not hold, each with its reason:
// "rule path" to reason. Whoever adds one convinces a reader of it.
var exceptions = map[string]string{}

// source is one Go file of ours.
type source struct {
	path string // from the top, with slashes
	dir  string
	test bool // its shape is nobody's business: tests, and tools for measuring
	ast  *ast.File
	text []byte
}

// house is all our Go files.
type house struct {
	t     *testing.T
	files *token.FileSet
	all   []source
}

func enter(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, files: token.NewFileSet()}
	top := ".."
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && p != top && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || p == filepath.Join(top, "data")) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		return h.add(filepath.ToSlash(rel), p)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.all) < 10 {
		t.Fatalf("only %d Go files were found: this looks in the wrong place", len(h.all))
	}
	return h
}

func (h *house) add(rel, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return h.parse(rel, text)
}

func (h *house) parse(rel string, text []byte) error {
	f, err := parser.ParseFile(h.files, rel, text, parser.ParseComments)
	if err != nil {
		return err
	}
	h.all = append(h.all, source{rel, path.Dir(rel), isTest(rel), f, text})
	return nil
}

// isTest reports whether a file is there for tests alone.
func isTest(rel string) bool {
	return strings.HasSuffix(rel, "_test.go") || under(rel, "tests") || under(rel, "gateway/gatewaytest")
}

// offence is a place where a rule is broken.
type offence struct {
	at   token.Position
	text string
}

// rule looks at one file.
type rule func(h *house, s source) []offence

// rules are those of the house, by name.
func rules() map[string]rule {
	return map[string]rule{
		"imports":     imports,
		"interfaces":  interfaces,
		"file-length": fileLength,
		"functions":   functions,
		"no-init":     noInit,
		"names":       names,
		"unfinished":  unfinished,
		"global-log":  globalLog,
		"globals":     globals,
		"clock":       clock,
		"elapsed":     elapsed,
		"quiet-words": quietWords,
	}
}

func TestHouse(t *testing.T) {
	h := enter(t)
	used := map[string]bool{}
	for name, rule := range rules() {
		t.Run(name, func(t *testing.T) {
			for _, s := range h.all {
				for _, o := range rule(h, s) {
					key := name + " " + s.path
					if _, excepted := exceptions[key]; excepted {
						used[key] = true
						continue
					}
					t.Errorf("%s:%d: %s", o.at.Filename, o.at.Line, o.text)
				}
			}
		})
	}
	t.Run("package-comments", func(t *testing.T) {
		for _, o := range packageComments(h) {
			t.Errorf("%s:%d: %s", o.at.Filename, o.at.Line, o.text)
		}
	})
	for key, reason := range exceptions {
		if !used[key] {
			t.Errorf("house_test.go: the exception %q (%s) is not needed any more", key, reason)
		}
	}
}

func (h *house) at(n ast.Node, format string, args ...any) offence {
	return offence{h.files.Position(n.Pos()), fmt.Sprintf(format, args...)}
}

func packageComments(h *house) (bad []offence) {
	first := map[string]source{}
	said := map[string]bool{}
	for _, s := range h.all {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		if _, ok := first[s.dir]; !ok {
			first[s.dir] = s
		}
		if s.ast.Doc != nil && strings.TrimSpace(s.ast.Doc.Text()) != "" {
			said[s.dir] = true
		}
	}
	for dir, s := range first {
		if !said[dir] {
			bad = append(bad, h.at(s.ast, "the package says nowhere what it is for"))
		}
	}
	slices.SortFunc(bad, func(a, b offence) int { return strings.Compare(a.at.Filename, b.at.Filename) })
	return bad
}

// link is a link to a file of ours in a page.
var link = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)

func TestLinksInPagesLeadSomewhere(t *testing.T) {
	pages := 0
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".md" {
			return err
		}
		pages++
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(p), m[1])); err != nil {
					t.Errorf("%s:%d: %s is not there", strings.TrimPrefix(filepath.ToSlash(p), "../"), i+1, m[1])
				}
			}
		}
		return nil
	})
	if err != nil || pages < 3 {
		t.Fatal(pages, err)
	}
}

// TestTheRulesCatchWhoBreaksThem gives each rule a file that breaks it, and
// the same file in a place or shape where it does not.
func TestTheRulesCatchWhoBreaksThem(t *testing.T) {
	long := strings.Repeat("\t_ = 1\n", 58)
	for _, c := range []struct{ rule, path, bad, goodPath, good string }{
		{"imports", "gateway/x.go", `import "github.com/sluice-mq/sluice/auth"`, "cmd/sluice/app/x.go", ""},
		{"imports", "gateway/x.go", `import "golang.org/x/sync/errgroup"`, "gateway/core/x.go", ""},
		{"imports", "protocols/stomp/x.go", `import "github.com/sluice-mq/sluice/protocols/admin"`, "protocols/stomp/x.go", `import "github.com/sluice-mq/sluice/protocols/internal/listen"`},
		{"imports", "protocols/stomp/x.go", `import "github.com/sluice-mq/sluice/jetstream"`, "protocols/stomp/x.go", `import "github.com/sluice-mq/sluice/protocols/stomp/wire"`},
		{"imports", "auth/x.go", `import "github.com/sluice-mq/sluice/protocols/internal/listen"`, "", ""},
		{"imports", "jetstream/x.go", `import "github.com/sluice-mq/sluice/auth"`, "jetstream/x.go", `import "github.com/sluice-mq/sluice/jetstream/commit"`},
		{"imports", "protocols/internal/listen/x.go", `import "github.com/sluice-mq/sluice/gateway/core"`, "protocols/internal/listen/x.go", `import "github.com/sluice-mq/sluice/gateway"`},
		{"imports", "protocols/stomp/x.go", `import "github.com/nats-io/nats.go"`, "protocols/nats/x.go", ""},
		{"imports", "cmd/sluice/x.go", `import "github.com/spf13/viper"`, "cmd/sluice/app/x.go", ""},
		{"imports", "protocols/nats/x.go", `import "github.com/sluice-mq/sluice/protocols/stomp/wire"`, "protocols/stomp/x.go", ""},
		{"imports", "gateway/dispatch/x.go", `import "github.com/sluice-mq/sluice/gateway/core"`, "gateway/core/x.go", `import "github.com/sluice-mq/sluice/gateway/dispatch"`},
		{"imports", "gateway/quota/x.go", `import "github.com/sluice-mq/sluice/gateway/core"`, "gateway/quota/x_test.go", ""},
		{"interfaces", "auth/x.go", "type I interface{ A(); B(); C(); D(); E(); F(); G(); H() }", "auth/x.go", "type I interface{ A(); B(); C(); D(); E(); F(); G() }"},
		{"file-length", "auth/x.go", strings.Repeat("\n", 399), "auth/x.go", strings.Repeat("\n", 398)},
		{"functions", "auth/x.go", "func f() {\n" + long + "}", "auth/x.go", "func f() {\n" + long[7:] + "}"},
		{"no-init", "auth/x.go", "func init() {}", "auth/x.go", "type t int\nfunc (t) init() {}"},
		{"names", "auth/utils.go", "", "auth/utility.go", ""},
		{"names", "auth/acl_helper_test.go", "", "auth/acl_test.go", ""},
		{"names", "common/acl.go", "", "commons/acl.go", ""},
		{"unfinished", "auth/x.go", "// TO" + "DO: think", "auth/x.go", "// TODOS is a word"},
		{"global-log", "auth/x.go", "import \"log/slog\"\nfunc f() { slog.Info(\"x\") }", "auth/x.go", "import \"log/slog\"\nfunc f(l *slog.Logger) { l.Info(\"x\") }"},
		{"global-log", "auth/x.go", `import "log"`, "auth/x_test.go", ""},
		{"globals", "auth/x.go", "var n int\nfunc f() { n++ }", "auth/x.go", "var n int\nfunc f() { n := 1; n++ }"},
		{"globals", "auth/x.go", "var m = map[int]int{}\nfunc f() { m[1] = 2 }", "auth/x.go", "func f() { m := map[int]int{}; m[1] = 2 }"},
		{"clock", "gateway/dispatch/x.go", "import \"time\"\nvar t = time.Now()", "gateway/core/x.go", ""},
		{"clock", "gateway/x.go", "func f() { go f() }", "gateway/core/x.go", ""},
		{"clock", "gateway/quota/x.go", "import \"time\"\nfunc f() { time.Sleep(1) }", "gateway/manage/x.go", ""},
		{"elapsed", "protocols/nats/x.go", "import \"time\"\nvar t = time.Now().UnixNano()", "protocols/nats/x.go", "import \"time\"\nvar t = time.Now().UnixMicro()"},
		{"quiet-words", "auth/x.go", "import \"fmt\"\nfunc f() { fmt.Println() }", "cmd/sluice/x.go", ""},
	} {
		if c.good == "" {
			c.good = c.bad
		}
		if got := try(t, c.rule, c.path, c.bad); len(got) != 1 {
			t.Errorf("%s does not catch once, but %v, in %s: %q", c.rule, got, c.path, c.bad)
		}
		if c.goodPath == "" {
			continue
		}
		if got := try(t, c.rule, c.goodPath, c.good); len(got) != 0 {
			t.Errorf("%s catches %v in %s: %q", c.rule, got, c.goodPath, c.good)
		}
	}
	h := &house{t: t, files: token.NewFileSet()}
	if err := h.parse("auth/x.go", []byte("package auth\n")); err != nil || len(packageComments(h)) != 1 {
		t.Error("a package without a comment is not caught", err)
	}
}

// try holds a rule against one file.
func try(t *testing.T, rule, path, text string) []offence {
	t.Helper()
	h := &house{t: t, files: token.NewFileSet()}
	if err := h.parse(path, []byte("package x\n"+text)); err != nil {
		t.Fatal(err)
	}
	return rules()[rule](h, h.all[0])
}
