// SPDX-License-Identifier: Apache-2.0

package house

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHouse holds the whole module to the rules.
func TestHouse(t *testing.T) {
	root := filepath.Join("..", "..")
	sources, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 20 {
		t.Fatalf("only %d files found", len(sources))
	}
	report := func(rule string, problems []Problem) {
		t.Run(rule, func(t *testing.T) {
			slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.String(), b.String()) })
			for _, p := range problems {
				t.Error(p)
			}
		})
	}
	for rule, check := range Rules() {
		var problems []Problem
		for _, s := range sources {
			problems = append(problems, check(s)...)
		}
		report(rule, problems)
	}
	report("packages", Packages(sources))
	report("tail", Tail(sources))
	report("dependencies", Direct(sources, Modules(gomod)))
}

const head = spdx + "\n\npackage p\n\n"

// Every rule finds what it is for, and lets the rest be.
func TestRules(t *testing.T) {
	long := strings.Repeat("\t_ = 0\n", MaxFunction-1)
	for _, tt := range []struct {
		rule, path, text string
		want             []string // what the problems contain, in order
	}{
		{"licence", "a/a.go", head, nil},
		{"licence", "a/a.go", "package p\n", []string{"a/a.go:1: the first line is not"}},
		{"licence", "a/a.go", "\n" + head, []string{"first line"}},

		{"imports", "edge/a.go", head + `import "` + Module + `/messages/bus"`, nil},
		{"imports", "edge/websocket/a.go", head + `import "` + Module + `/actors"`, []string{"edge/websocket imports actors: roles meet"}},
		{"imports", "actors/plugin/a.go", head + `import "` + Module + `/mediactl/janusapi"`, []string{"imports mediactl/janusapi"}},
		{"imports", "mediactl/a_test.go", head + `import "` + Module + `/edge"`, []string{"imports edge"}},
		{"imports", "messages/bus/a.go", head + `import "` + Module + `/cmd/januscloud/config"`, []string{"the wire knows nobody"}},
		{"imports", "edgeless/a.go", head + `import "` + Module + `/actors"`, nil},
		{"imports", "cmd/januscloud/a.go", head + `import "` + Module + `/scripts/lab"`, []string{"for tests"}},
		{"imports", "cmd/januscloud/a_test.go", head + `import "` + Module + `/scripts/lab"`, nil},

		{"size", "a/a.go", head + "func f() {\n" + long + "}\n", []string{"f has 61 lines"}},
		{"size", "a/a_test.go", head + "func f() {\n" + long + "}\n", nil},
		{"size", "a/a.go", head + strings.Repeat("\n", MaxFile), []string{"504 lines"}},
		{"size", "a/a.go", head + "func f() {\n" + long[:len(long)-7] + "}\n", nil},

		{"documented", "a/a.go", head + "func F() {}\n", []string{"F is exported"}},
		{"documented", "a/a.go", head + "// F does.\nfunc F() {}\n", nil},
		{"documented", "a/a.go", head + "// F and G do.\nfunc F() {}\nfunc G() {}\nfunc H() {}\n", []string{"H is exported"}},
		{"documented", "a/a.go", head + "// F and G do.\nfunc F() {}\n\nfunc G() {}\n", []string{"G is exported"}},
		{"documented", "a/a.go", head + "type t int\n\nfunc (t) F() {}\nfunc (*t) G() {}\n", nil},
		{"documented", "a/a.go", head + "// T is.\ntype T[A any] int\n\nfunc (T[A]) F() {}\nfunc (T[A]) String() string { return \"\" }\n", []string{"F is exported"}},
		{"documented", "a/a.go", head + "type T int\n\nconst (\n\tA = 1\n\tB = 2 // B is\n\tc = 3\n)\n", []string{"T is exported", "A is exported"}},
		{"documented", "a/a.go", head + "// All of them.\nconst (\n\tA = 1\n\tB = 2\n)\n", nil},
		{"documented", "a/a_test.go", head + "func F() {}\n", nil},

		{"no init", "a/a.go", head + "func init() {}\n", []string{"init"}},
		{"no init", "a/a.go", head + "type t int\n\nfunc (t) init() {}\n", nil},

		{"no state", "a/a_test.go", head + "var x int\n", nil},
		{"no state", "a/a.go", head + "var errX, y = f(), g()\n", []string{"package variable"}},
		{"no state", "a/a.go", head + "var x int\n", []string{"package variable x"}},
		{"no state", "a/a.go", head + "var x = map[string]int{}\n", []string{"package variable x"}},
		{"no state", "a/a.go", head + "var x = [2]int{1, 2} //house:table nobody writes it\n", nil},
		{"no state", "a/a.go", head + "var x = [2]int{ //house:table nobody writes it\n\t1, 2,\n}\n", nil},
		{"no state", "a/a.go", head + "var x = 1 //house:table\n", []string{"package variable x"}},
		{"no state", "a/a.go", head + "var (\n\tErrA = errors.New(\"a\")\n\terrB = fmt.Errorf(\"b: %w\", ErrA)\n)\n", nil},
		{"no state", "a/a.go", head + "var _ io.Reader = x{}\n\nvar p = regexp.MustCompile(`a`)\n", nil},
		{"no state", "a/a.go", head + "//go:embed x\nvar files embed.FS\n", nil},
		{"no state", "a/a.go", head + "func f() {\n\tvar x int\n\t_ = x\n}\n", nil},

		{"no mutex in actors", "actors/a.go", head + "type t struct{ mu sync.Mutex }\n", []string{"sync.Mutex in actor code"}},
		{"no mutex in actors", "mediactl/a.go", head + "type t struct{ mu sync.RWMutex }\n", []string{"sync.RWMutex in actor code"}},
		{"no mutex in actors", "mediactl/janusproc/a.go", head + "type t struct{ mu sync.Mutex }\n", nil},
		{"no mutex in actors", "actors/a_test.go", head + "type t struct{ mu sync.Mutex }\n", nil},

		{"no printing", "a/a.go", head + "func f() { fmt.Println(); fmt.Fprintln(w); log.Fatalf(``); os.Exit(1) }\n", []string{"fmt.Println", "log.Fatalf", "os.Exit"}},
		{"no printing", "a/a.go", strings.Replace(head, "package p", "package main", 1) + "func f() { os.Exit(1) }\n", nil},
		{"no printing", "a/a_test.go", head + "func f() { fmt.Println() }\n", nil},

		{"no sleeping tests", "a/a_test.go", head + "func f() { time.Sleep(1) }\n", []string{"a test sleeps"}},
		{"no sleeping tests", "a/a_test.go", head + "import \"testing/synctest\"\n\nfunc f() { synctest.Test(t, func() { time.Sleep(1) }) }\n", nil},
		{"no sleeping tests", "a/a_test.go", head + "func f() {\n\tfor !done() {\n\t\ttime.Sleep(1)\n\t}\n}\n", nil},
		{"no sleeping tests", "a/a_test.go", head + "func f() {\n\ttime.Sleep(1) //house:sleep the clock of the kernel is meant\n}\n", nil},
		{"no sleeping tests", "a/a.go", head + "func f() { time.Sleep(1) }\n", nil},

		{"no promises", "a/a.go", head + "// TO" + "DO: later\n", []string{"not done"}},
		{"no promises", "a/a.go", head + "// Today it is done.\n", nil},
	} {
		s, err := Parse(tt.path, []byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		problems := Rules()[tt.rule](s)
		slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.String(), b.String()) })
		ok := len(problems) == len(tt.want)
		for i := 0; ok && i < len(problems); i++ {
			ok = strings.Contains(problems[i].String(), tt.want[i])
		}
		if !ok {
			t.Errorf("%s, %s:\n%s\nfound %q, want %q", tt.rule, tt.path, tt.text, problems, tt.want)
		}
	}
}

func parseAll(t *testing.T, texts map[string]string) []*Source {
	t.Helper()
	var sources []*Source
	for path, text := range texts {
		s, err := Parse(path, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, s)
	}
	return sources
}

func TestPackages(t *testing.T) {
	sources := parseAll(t, map[string]string{
		"a/a.go": head, "a/doc.go": "// Package p is.\npackage p\n", "b/b.go": head, "c/c_test.go": head, "b/b_test.go": "// Package p is.\npackage p\n",
	})
	if got := Packages(sources); len(got) != 1 || got[0].File != "b/b.go" {
		t.Errorf("%v", got)
	}
}

func TestTail(t *testing.T) {
	var b strings.Builder
	b.WriteString(head)
	for range 10 {
		b.WriteString("func f() {\n" + strings.Repeat("\n", MaxTail) + "}\n")
	}
	if got := Tail(parseAll(t, map[string]string{"a/a.go": b.String()})); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if got := Tail(parseAll(t, map[string]string{"a/a_test.go": b.String()})); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestDirect(t *testing.T) {
	modules := Modules([]byte("module m\n\ngo 1.26\n\nrequire (\n\texample.org/a v1.0.0\n\texample.org/a/b v1.0.0 // indirect\n)\n\nrequire go.uber.org/goleak v1.3.0\n"))
	if want := []string{"example.org/a", "example.org/a/b", "go.uber.org/goleak"}; !slices.Equal(modules, want) {
		t.Fatalf("%q", modules)
	}
	sources := parseAll(t, map[string]string{
		"a/a.go": head + "import (\n\t\"fmt\"\n\t\"example.org/a/b/c\"\n\t\"go.uber.org/goleak\"\n)\n",
	})
	if got := Direct(sources, modules); len(got) != 1 || !strings.Contains(got[0].Text, "module example.org/a/b is not") {
		t.Errorf("%v", got)
	}
	for module, reason := range Dependencies() {
		if len(reason) < 5 {
			t.Errorf("%s has no reason", module)
		}
	}
	if n := len(Dependencies()); n > MaxDependencies {
		t.Errorf("%d are allowed, %d at most", n, MaxDependencies)
	}
}
