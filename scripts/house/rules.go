// SPDX-License-Identifier: Apache-2.0

package house

import (
	"bytes"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// Limits of size. Networking servers that let the tail grow end with functions that nobody dares to split.
const (
	MaxFunction = 60  // lines of a function
	MaxTail     = 45  // lines of the function that 95 % are not longer than
	MaxFile     = 500 // lines of a file
)

// Rules are the rules that look at one file.
func Rules() map[string]func(*Source) []Problem {
	return map[string]func(*Source) []Problem{
		"licence": licence, "imports": imports, "size": size, "documented": documented, "no init": noInit,
		"no state": noState, "no mutex in actors": noMutex, "no printing": noPrinting, "no sleeping tests": noSleep, "no promises": noPromises,
	}
}

const spdx = "// SPDX-License-Identifier: Apache-2.0"

func licence(s *Source) []Problem {
	if first, _, _ := bytes.Cut(s.Text, []byte("\n")); string(first) != spdx {
		return []Problem{s.problem(s.File.FileStart, "the first line is not %q", spdx)}
	}
	return nil
}

// directions are the imports that must not be, with the reason.
func directions() []struct {
	from, banned []string
	why          string
} {
	return []struct {
		from, banned []string
		why          string
	}{
		{[]string{"edge"}, []string{"actors", "mediactl"}, "roles meet on subjects only: then one process and thirty are the same program"},
		{[]string{"actors"}, []string{"edge", "mediactl"}, "roles meet on subjects only: then one process and thirty are the same program"},
		{[]string{"mediactl"}, []string{"edge", "actors"}, "roles meet on subjects only: then one process and thirty are the same program"},
		{[]string{"messages"}, []string{"edge", "actors", "mediactl", "cmd", "scripts"}, "the wire knows nobody who uses it"},
		{[]string{"edge", "actors", "mediactl", "scripts"}, []string{"cmd"}, "cmd wires, and is wired by nobody"},
	}
}

func imports(s *Source) []Problem {
	var problems []Problem
	for _, i := range s.File.Imports {
		folder, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), Module+"/")
		for _, d := range directions() {
			if ours && within(s.Package(), d.from...) && within(folder, d.banned...) {
				problems = append(problems, s.problem(i.Pos(), "%s imports %s: %s", s.Package(), folder, d.why))
			}
		}
		if ours && within(folder, "scripts") && !s.Test() && !within(s.Package(), "scripts") {
			problems = append(problems, s.problem(i.Pos(), "%s imports %s: the test rig is for tests", s.Package(), folder))
		}
	}
	return problems
}

// functions are all functions with a name, and their lengths in lines.
func (s *Source) functions() map[*ast.FuncDecl]int {
	all := map[*ast.FuncDecl]int{}
	for _, d := range s.File.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			all[f] = s.line(f.End()) - s.line(f.Pos()) + 1
		}
	}
	return all
}

func size(s *Source) []Problem {
	if s.Test() {
		return nil
	}
	var problems []Problem
	if n := bytes.Count(s.Text, []byte("\n")); n > MaxFile {
		problems = append(problems, s.problem(s.File.FileStart, "%d lines, %d at most", n, MaxFile))
	}
	for f, n := range s.functions() {
		if n > MaxFunction {
			problems = append(problems, s.problem(f.Pos(), "%s has %d lines, %d at most", f.Name.Name, n, MaxFunction))
		}
	}
	return problems
}

func documented(s *Source) []Problem {
	if s.Test() || s.File.Name.Name == "main" {
		return nil
	}
	var problems []Problem
	for i, d := range s.File.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && exportedReceiver(d) && !s.hasDoc(i) {
				problems = append(problems, s.problem(d.Pos(), "%s is exported and has no comment", d.Name.Name))
			}
		case *ast.GenDecl:
			problems = append(problems, s.documentedNames(d)...)
		}
	}
	return problems
}

// wellKnown are methods whose meaning an interface of the standard library tells.
func wellKnown(name string) bool { return name == "Error" || name == "String" || name == "Unwrap" }

// hasDoc reports whether a function has a comment of its own, or is named by that of a block of functions it stands in.
func (s *Source) hasDoc(i int) bool {
	f := s.File.Decls[i].(*ast.FuncDecl)
	if f.Doc != nil || f.Recv != nil && wellKnown(f.Name.Name) {
		return true
	}
	for ; i > 0; i-- {
		before, ok := s.File.Decls[i-1].(*ast.FuncDecl)
		if !ok || s.line(before.End())+1 != s.line(s.File.Decls[i].Pos()) {
			return false
		}
		if before.Doc != nil {
			return strings.Contains(before.Doc.Text(), f.Name.Name)
		}
	}
	return false
}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	t := f.Recv.List[0].Type
	for {
		switch inner := t.(type) {
		case *ast.StarExpr:
			t = inner.X
		case *ast.IndexExpr:
			t = inner.X
		case *ast.Ident:
			return inner.IsExported()
		default:
			return true
		}
	}
}

// documentedNames looks at types, constants and variables; a comment on a group stands for its members.
func (s *Source) documentedNames(d *ast.GenDecl) []Problem {
	var problems []Problem
	missing := func(n *ast.Ident) {
		if n.IsExported() {
			problems = append(problems, s.problem(n.Pos(), "%s is exported and has no comment", n.Name))
		}
	}
	if d.Doc != nil {
		return nil
	}
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Doc == nil && spec.Comment == nil {
				missing(spec.Name)
			}
		case *ast.ValueSpec:
			if spec.Doc == nil && spec.Comment == nil {
				for _, n := range spec.Names {
					missing(n)
				}
			}
		}
	}
	return problems
}

func noInit(s *Source) []Problem {
	var problems []Problem
	for f := range s.functions() {
		if f.Name.Name == "init" && f.Recv == nil {
			problems = append(problems, s.problem(f.Pos(), "init: what must happen is called by name"))
		}
	}
	return problems
}

// noState finds variables of packages. Errors, compiled patterns, interface guards and embedded files never change. Tables
// of tests are left alone.
func noState(s *Source) []Problem {
	if s.Test() {
		return nil
	}
	var problems []Problem
	for _, d := range s.File.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR || embeds(g.Doc) {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if embeds(v.Doc) || constant(v) || s.marked(v.End(), "table") || s.marked(v.Pos(), "table") || s.marked(g.Pos(), "table") {
				continue
			}
			problems = append(problems, s.problem(v.Pos(), "package variable %s: state belongs to somebody (or mark it //house:table and say why)", v.Names[0].Name))
		}
	}
	return problems
}

func embeds(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// constant reports whether nobody would think of changing a variable.
func constant(v *ast.ValueSpec) bool {
	for i, n := range v.Names {
		if n.Name == "_" || strings.HasPrefix(n.Name, "err") || strings.HasPrefix(n.Name, "Err") {
			continue
		}
		if i >= len(v.Values) {
			return false
		}
		call, ok := v.Values[i].(*ast.CallExpr)
		if !ok || selector(call.Fun) != "regexp.MustCompile" {
			return false
		}
	}
	return true
}

// selector is a.b as text, "" for any other expression.
func selector(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
	}
	return ""
}

// each finds every use of a.b.
func (s *Source) each(match func(name string) bool, found func(pos token.Pos, name string)) {
	ast.Inspect(s.File, func(n ast.Node) bool {
		if e, ok := n.(*ast.SelectorExpr); ok {
			if name := selector(e); match(name) {
				found(e.Pos(), name)
			}
		}
		return true
	})
}

func noMutex(s *Source) []Problem {
	if s.Test() || s.Package() != "mediactl" && !within(s.Package(), "actors") {
		return nil
	}
	var problems []Problem
	s.each(func(name string) bool { return name == "sync.Mutex" || name == "sync.RWMutex" }, func(pos token.Pos, name string) {
		problems = append(problems, s.problem(pos, "%s in actor code: one loop owns one state", name))
	})
	return problems
}

func noPrinting(s *Source) []Problem {
	if s.Test() {
		return nil
	}
	var problems []Problem
	banned := regexp.MustCompile(`^(fmt\.Print(f|ln)?|log\.(Print|Fatal|Panic)(f|ln)?|os\.Exit)$`)
	s.each(banned.MatchString, func(pos token.Pos, name string) {
		if s.File.Name.Name == "main" && name == "os.Exit" {
			return
		}
		problems = append(problems, s.problem(pos, "%s: return an error, or log with slog", name))
	})
	return problems
}

// noSleep finds tests that sleep. In a bubble of testing/synctest that costs no time and races with nothing, and a loop
// that looks again and again sleeps between two looks.
func noSleep(s *Source) []Problem {
	if !s.Test() || slices.Contains(s.Imports(), "testing/synctest") {
		return nil
	}
	var loops []ast.Node
	ast.Inspect(s.File, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			loops = append(loops, n)
		}
		return true
	})
	var problems []Problem
	s.each(func(name string) bool { return name == "time.Sleep" }, func(pos token.Pos, _ string) {
		inside := slices.ContainsFunc(loops, func(l ast.Node) bool { return l.Pos() < pos && pos < l.End() })
		if !inside && !s.marked(pos, "sleep") {
			problems = append(problems, s.problem(pos, "a test sleeps: wait for a condition, or use a bubble (or mark it //house:sleep and say why)"))
		}
	})
	return problems
}

// noPromises finds notes of what is not done.
func noPromises(s *Source) []Problem {
	promise := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	var problems []Problem
	for _, group := range s.File.Comments {
		for _, c := range group.List {
			if promise.MatchString(c.Text) {
				problems = append(problems, s.problem(c.Pos(), "a note of what is not done: do it, or leave it"))
			}
		}
	}
	return problems
}
