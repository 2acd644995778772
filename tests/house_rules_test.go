package tests

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// under reports whether a folder is top or below it.
func under(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }

// room is the part of a path that must not lean on its neighbours: a folder on
// the second floor, or "" elsewhere.
func room(dir string) string {
	switch first, rest, _ := strings.Cut(dir, "/"); first {
	case "jetstream", "auth":
		return first
	case "protocols":
		second, _, _ := strings.Cut(rest, "/")
		return first + "/" + second
	}
	return ""
}

func imports(h *house, s source) (bad []offence) {
	for _, spec := range s.ast.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		if why := mayImport(s, name); why != "" {
			bad = append(bad, h.at(spec, "imports %s: %s", name, why))
		}
	}
	return bad
}

// mayImport returns why a file must not import a package, or "".
func mayImport(s source, name string) string {
	ours, isOurs := strings.CutPrefix(name, module+"/")
	standard := !strings.Contains(strings.SplitN(name, "/", 2)[0], ".")
	from, to := room(s.dir), room(ours)
	switch {
	case strings.HasPrefix(name, "github.com/nats-io/") && !under(s.dir, "jetstream") && !under(s.dir, "protocols/nats") && !under(s.dir, "deploy/examples") && !under(s.dir, "tests") && !s.test:
		return "nats-io stays under jetstream and protocols/nats"
	case strings.HasPrefix(name, "github.com/spf13/viper") && s.dir != "cmd/sluice/app":
		return "viper stays in cmd/sluice/app"
	case s.dir == "gateway" && !standard && !s.test:
		return "gateway has the standard library alone"
	case !isOurs:
		return ""
	case under(s.dir, "gateway") && !under(ours, "gateway"):
		return "gateway imports nothing of ours outside it"
	case under(s.dir, "gateway/dispatch") && ours != "gateway" && !under(ours, "gateway/selector") && !under(ours, "gateway/dispatch") && !s.test:
		return "dispatch knows the words and selectors alone"
	case under(ours, "gateway/core") && under(s.dir, "gateway") && !under(s.dir, "gateway/core") && !s.test:
		return "the rooms beside core do not know it"
	case under(ours, "protocols/stomp/wire") && !under(s.dir, "protocols/stomp") && !s.test:
		return "frames stay under protocols/stomp"
	case under(ours, "cmd") && !under(s.dir, "cmd") && !under(s.dir, "tests"):
		return "nothing leans on cmd"
	case from != "" && to != "" && from != to && !(to == "protocols/internal" && under(s.dir, "protocols")):
		return from + " and " + to + " are neighbours and do not lean on one another"
	case from == "protocols/internal" && isOurs && ours != "gateway" && !under(ours, "protocols/internal"):
		return "what protocols share knows the words of gateway alone"
	}
	return ""
}

func interfaces(h *house, s source) (bad []offence) {
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if i, ok := n.(*ast.InterfaceType); ok && !s.test {
			if methods := i.Methods.NumFields(); methods > 7 {
				bad = append(bad, h.at(i, "an interface with %d methods; 7 are enough", methods))
			}
		}
		return true
	})
	return bad
}

func fileLength(_ *house, s source) []offence {
	if n := strings.Count(string(s.text), "\n"); n >= 400 && !s.test {
		return []offence{{token.Position{Filename: s.path, Line: n}, fmt.Sprintf("the file has %d lines; keep it under 400", n)}}
	}
	return nil
}

func functions(h *house, s source) (bad []offence) {
	for _, d := range s.ast.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && !s.test {
			if n := h.files.Position(f.End()).Line - h.files.Position(f.Pos()).Line + 1; n >= 60 {
				bad = append(bad, h.at(f, "%s has %d lines; keep it under 60", f.Name.Name, n))
			}
		}
	}
	return bad
}

func noInit(h *house, s source) (bad []offence) {
	for _, d := range s.ast.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			bad = append(bad, h.at(f, "an init function: things happen when somebody calls them"))
		}
	}
	return bad
}

// hollow are names that say nothing about what is inside.
var hollow = regexp.MustCompile(`^(util|utils|helper|helpers|common|manager|data|misc)$`)

func names(_ *house, s source) []offence {
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSuffix(s.path, ".go"), "_test"), "/") {
		for word := range strings.SplitSeq(part, "_") {
			if hollow.MatchString(word) {
				return []offence{{token.Position{Filename: s.path, Line: 1}, "the name " + word + " says nothing; name what is inside"}}
			}
		}
	}
	return nil
}

var unfinishedWord = regexp.MustCompile(`\b(` + "TO" + `DO|FIX` + `ME|X` + `XX)\b`)

func unfinished(h *house, s source) (bad []offence) {
	for _, g := range s.ast.Comments {
		for _, c := range g.List {
			if w := unfinishedWord.FindString(c.Text); w != "" {
				bad = append(bad, h.at(c, "%s: do it, or write down where it is decided", w))
			}
		}
	}
	return bad
}

func globalLog(h *house, s source) (bad []offence) {
	if s.test {
		return nil
	}
	for _, spec := range s.ast.Imports {
		if spec.Path.Value == `"log"` {
			bad = append(bad, h.at(spec, "the global log; take a *slog.Logger"))
		}
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && isPackage(sel.X, "slog") &&
			slices.Contains([]string{"Default", "SetDefault", "Debug", "Info", "Warn", "Error", "Log"}, sel.Sel.Name) {
			bad = append(bad, h.at(sel, "slog.%s is the global logger; take a *slog.Logger", sel.Sel.Name))
		}
		return true
	})
	return bad
}

// isPackage reports whether an expression is an imported package of that name.
func isPackage(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name && id.Obj == nil
}

// globals finds assignments to variables of the package.
func globals(h *house, s source) (bad []offence) {
	if s.test {
		return nil
	}
	check := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
				continue
			case *ast.SelectorExpr:
				e = x.X
				continue
			case *ast.Ident:
				if x.Obj == nil && h.isGlobal(s.dir, x.Name) || x.Obj != nil && x.Obj.Kind == ast.Var && isTopLevel(s.ast, x.Obj) {
					bad = append(bad, h.at(x, "changes %s, a variable of the package", x.Name))
				}
			}
			return
		}
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		switch a := n.(type) {
		case *ast.AssignStmt:
			if a.Tok != token.DEFINE {
				for _, left := range a.Lhs {
					check(left)
				}
			}
		case *ast.IncDecStmt:
			check(a.X)
		}
		return true
	})
	return bad
}

// isGlobal reports whether a package has a variable of that name.
func (h *house) isGlobal(dir, name string) bool {
	for _, s := range h.all {
		if s.dir != dir || s.test {
			continue
		}
		if o := s.ast.Scope.Lookup(name); o != nil && o.Kind == ast.Var {
			return true
		}
	}
	return false
}

func isTopLevel(f *ast.File, o *ast.Object) bool { return f.Scope.Lookup(o.Name) == o }

// pureRooms have no goroutine of their own, and no clock but the one that is passed in.
func pureRooms() []string {
	return []string{
		"gateway", "gateway/dispatch", "gateway/selector", "gateway/schedule", "gateway/statistics", "gateway/jmsmap", "protocols/stomp/wire",
		"gateway/advising", "gateway/attach", "gateway/audit", "gateway/completion", "gateway/deadletter", "gateway/facts", "gateway/feed", "gateway/past",
		"gateway/quota", "gateway/relay", "gateway/ring", "gateway/tap", "gateway/union",
	}
}

// clock keeps time out of the pure rooms, where it is passed in.
func clock(h *house, s source) (bad []offence) {
	if !slices.Contains(pureRooms(), s.dir) || s.test {
		return nil
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.SelectorExpr:
			if isPackage(x.X, "time") && slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "Tick", "NewTicker", "Sleep"}, x.Sel.Name) {
				bad = append(bad, h.at(x, "time.%s in a pure room; have the time passed in", x.Sel.Name))
			}
		case *ast.GoStmt:
			bad = append(bad, h.at(x, "a goroutine in a pure room"))
		}
		return true
	})
	return bad
}

// elapsed keeps times that are compared with one another out of the hands of whoever sets the machine's clock.
func elapsed(h *house, s source) (bad []offence) {
	if s.test || !under(s.dir, "gateway") && !under(s.dir, "jetstream") && !under(s.dir, "protocols") {
		return nil
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if x, ok := n.(*ast.SelectorExpr); ok && x.Sel.Name == "UnixNano" {
			bad = append(bad, h.at(x, "UnixNano jumps when the clock is set; keep a time.Time, or count what went by since one"))
		}
		return true
	})
	return bad
}

// quietWords keeps output for the program alone: rooms return errors and log.
func quietWords(h *house, s source) (bad []offence) {
	if s.test || under(s.dir, "cmd") || under(s.dir, "tests") || under(s.dir, "deploy/examples") {
		return nil
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if x, ok := n.(*ast.SelectorExpr); ok &&
			(isPackage(x.X, "fmt") && strings.HasPrefix(x.Sel.Name, "Print") || isPackage(x.X, "os") && (x.Sel.Name == "Exit" || x.Sel.Name == "Stdout")) {
			bad = append(bad, h.at(x, "%s outside cmd", x.Sel.Name))
		}
		return true
	})
	return bad
}
