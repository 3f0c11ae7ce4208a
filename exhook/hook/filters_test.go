package hook

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// naive is emqx_topic:match, word by word.
func naive(name, filter string) bool {
	if strings.HasPrefix(name, "$") && (strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")) {
		return false
	}
	names, filters := strings.Split(name, "/"), strings.Split(filter, "/")
	for len(names) > 0 && len(filters) > 0 && (names[0] == filters[0] || filters[0] == "+") {
		names, filters = names[1:], filters[1:]
	}
	return len(names) == 0 && len(filters) == 0 || len(filters) == 1 && filters[0] == "#"
}

func TestFiltersMatchAsEMQXDoes(t *testing.T) {
	for _, c := range []struct {
		name, filter string
		want         bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/+", true}, {"a/b", "+/+", true}, {"a/b", "#", true}, {"a/b", "a/#", true},
		{"a", "a/#", true}, {"a", "a/+", false}, {"a/", "a/+", true}, {"a/b", "a", false}, {"a", "a/b", false}, {"/a", "+/a", true}, {"/a", "/a", true},
		{"/a", "a", false}, {"", "#", true}, {"", "+", true}, {"", "", true}, {"a", "", false},
		{"$SYS/x", "#", false}, {"$SYS/x", "+/x", false}, {"$SYS/x", "$SYS/#", true}, {"$SYS/x", "$SYS/+", true}, {"a/$x", "a/+", true}, {"$", "+", false},
		{"a/b/c", "a/#/c", false}, {"a/b", "a/#/b", false}, {"a+", "a+", true}, {"ab", "a+", false}, {"t", "$share/g/t", false},
	} {
		if got := Compile([]string{c.filter}).Match([]byte(c.name)); got != c.want || naive(c.name, c.filter) != c.want {
			t.Errorf("%q against %q: %v, naively %v", c.name, c.filter, got, naive(c.name, c.filter))
		}
	}
	if !Compile(nil).Match([]byte("$SYS/x")) || !(&Filters{}).Match(nil) {
		t.Error("no filters do not match everything")
	}
}

// topics makes topics of few words, so that they meet.
func topics(r *rand.Rand, words []string) string {
	levels := make([]string, 1+r.IntN(4))
	for i := range levels {
		levels[i] = words[r.IntN(len(words))]
	}
	return strings.Join(levels, "/")
}

func TestManyFiltersMatchAsOneAfterTheOther(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		filters := make([]string, 1+r.IntN(8))
		for i := range filters {
			filters[i] = topics(r, []string{"a", "b", "", "+", "+", "#", "$s", "+x"})
		}
		f := Compile(filters)
		for range 20 {
			name := topics(r, []string{"a", "b", "", "$s", "+", "x", "+x"})
			want := false
			for _, filter := range filters {
				want = want || naive(name, filter)
			}
			if got := f.Match([]byte(name)); got != want {
				t.Fatalf("%q against %q: %v", name, filters, got)
			}
		}
	}
}

func FuzzFiltersMatchAsOneAfterTheOther(f *testing.F) {
	f.Add("a/b", "a/+\na/#\n+/b")
	f.Add("$SYS/x", "#\n$SYS/+")
	f.Add("a/#/b", "a/#/b\n\n/")
	f.Fuzz(func(t *testing.T, name, lines string) {
		if strings.Contains("/"+name+"/", "/#/") {
			return // not a name
		}
		filters, want := strings.Split(lines, "\n"), false
		for _, filter := range filters {
			want = want || naive(name, filter)
		}
		if got := Compile(filters).Match([]byte(name)); got != want {
			t.Fatalf("%q against %q: %v", name, filters, got)
		}
	})
}

func TestACoveringFilterMatchesAllThatTheOtherDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	words, covering := []string{"a", "b", "", "+", "#", "$s"}, 0
	for range 3000 {
		a, b := topics(r, words), topics(r, words)
		if !covers(a, b) {
			continue
		}
		covering++
		for range 50 {
			if name := topics(r, []string{"a", "b", "", "$s", "c"}); naive(name, b) && !naive(name, a) {
				t.Fatalf("%q covers %q, but not %q", a, b, name)
			}
		}
	}
	if covering < 100 {
		t.Errorf("only %d pairs were compared", covering)
	}
	for _, c := range [][2]string{{"#", "a/b"}, {"a/#", "a"}, {"a/#", "a/+/c"}, {"+/b", "a/b"}, {"#", "#"}, {"+", ""}, {"a/#", "a/#"}, {"+/#", "a"}, {"", ""}} {
		if !covers(c[0], c[1]) {
			t.Errorf("%q does not cover %q", c[0], c[1])
		}
	}
	for _, c := range [][2]string{{"a", "a/#"}, {"a/+", "a/#"}, {"#", "$s"}, {"a/b", "a/+"}, {"a", "b"}, {"", "#"}} {
		if covers(c[0], c[1]) {
			t.Errorf("%q covers %q", c[0], c[1])
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 10, 500} {
		filters := make([]string, n)
		for i := range filters {
			filters[i] = fmt.Sprintf("site/%d/+/temp", i)
		}
		f, name := Compile(filters), fmt.Appendf(nil, "site/%d/device-1/temp", n-1)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Match(name)
			}
		})
	}
}
