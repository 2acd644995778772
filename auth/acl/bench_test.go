package acl

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// many returns thousands of rules, a third of which are for the user.
func many() (rules []Rule) {
	for i := range 3000 {
		rules = append(rules, Rule{Users: []string{[]string{"u", "v", "w"}[i%3]}, Allow: []string{"all"}, On: []string{fmt.Sprintf("/queue/site%d.*.>", i)}})
	}
	return rules
}

// TestAYesCostsNoAllocation, and neither does a no that was said before.
func TestAYesCostsNoAllocation(t *testing.T) {
	z, err := New(Config{Rules: many()})
	require.NoError(t, err)
	r := z.Rights(proven("u"))
	require.NoError(t, r.May(gateway.Write, queue("site3.a.b")))
	require.Error(t, r.May(gateway.Write, queue("site1.a.b")))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if r.May(gateway.Write, queue("site3.a.b")) != nil || r.May(gateway.Write, queue("site1.a.b")) == nil || !r.All(gateway.Write, queue("site3.a.b")) {
			t.Error("another answer")
		}
	}))
}

func BenchmarkMay(b *testing.B) {
	z, err := New(Config{Rules: many()})
	require.NoError(b, err)
	r := z.Rights(proven("u"))
	d := queue("site3.atlas.events")
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r.May(gateway.Write, d) != nil {
				b.Fatal()
			}
		}
	})
	b.Run("again, by many", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if r.May(gateway.Write, d) != nil {
					b.Error()
				}
			}
		})
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if r.(*rights).judge(gateway.Write, d).err != nil {
				b.Fatal()
			}
		}
	})
	b.Run("pattern", func(b *testing.B) {
		for b.Loop() {
			if r.(*rights).judge(gateway.Read, queue("*.atlas.>")).err != nil {
				b.Fatal()
			}
		}
	})
}

func BenchmarkRights(b *testing.B) {
	z, err := New(Config{Rules: many()})
	require.NoError(b, err)
	who := personOf(proven("u"))
	for b.Loop() {
		newRights(who, z.rulesFor(who))
	}
}

func BenchmarkLoad(b *testing.B) {
	rules := many()
	for b.Loop() {
		z, err := New(Config{Mode: Union, Rules: rules})
		if err != nil || len(z.Warnings()) != 0 {
			b.Fatal(err)
		}
	}
}
