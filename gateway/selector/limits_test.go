package selector

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func TestErrorsNameThePlaceAndWhatWasWanted(t *testing.T) {
	for selector, text := range map[string]string{
		"":                                     "invalid selector at offset 0: want a name, a literal or an opening parenthesis, found the end",
		"a = ":                                 "invalid selector at offset 4: want a name, a literal or an opening parenthesis, found the end",
		"a = 1 garbage":                        "invalid selector at offset 6: want an operator or the end, found garbage",
		"a == 1":                               "invalid selector at offset 3: want a name, a literal or an opening parenthesis, found =",
		"a != 1":                               "invalid selector at offset 2: unexpected \"!\"",
		"ä = 1":                                "invalid selector at offset 0: unexpected \"ä\"",
		"a.b = 1":                              "invalid selector at offset 1: unexpected \".\"",
		"(a = 1":                               "invalid selector at offset 6: want ), found the end",
		"a = 'x":                               "invalid selector at offset 4: the quotation mark ' is not closed",
		"a = 1 /* x":                           "invalid selector at offset 6: the comment is not closed",
		"a IN (1)":                             "invalid selector at offset 6: want a text in quotation marks, found 1",
		"a IN ('b' 'c')":                       "invalid selector at offset 10: want ), found 'c'",
		"1 IN ('b')":                           "invalid selector at offset 0: want a name before IN",
		"NOT a IN ('b')":                       "invalid selector at offset 0: NOT binds tighter than IN; want NOT (... IN ...) or NOT IN",
		"NOT a > 1":                            "invalid selector at offset 0: NOT binds tighter than the comparison behind it; want NOT (...)",
		"a > 'x'":                              "invalid selector at offset 4: 'x' has no order; want a number or a name",
		"a > NULL":                             "invalid selector at offset 4: NULL has no order; want a number or a name",
		"a > 1 > 2":                            "invalid selector at offset 0: a condition has no order; want a number or a name",
		"a = NULL":                             "invalid selector at offset 2: NULL does not compare; want IS NULL or IS NOT NULL",
		"TRUE = 'x'":                           "invalid selector at offset 5: a truth value does not compare with x",
		"a IS 1":                               "invalid selector at offset 5: want NULL, found 1",
		"a NOT = 1":                            "invalid selector at offset 6: want LIKE, BETWEEN or IN, found =",
		"a LIKE b":                             "invalid selector at offset 7: want the pattern as a text in quotation marks, found b",
		"a LIKE 'b' ESCAPE 'xy'":               "invalid selector at offset 18: want one character in quotation marks, found 'xy'",
		"a BETWEEN 1 OR 2":                     "invalid selector at offset 12: want AND, found OR",
		"3 + 5":                                "invalid selector at offset 0: want a condition, found a value",
		"TRUE AND 3+5":                         "invalid selector at offset 9: want a condition, found a value",
		"XPATH '/a'":                           "invalid selector at offset 0: XPATH is not supported: selectors do not look into bodies",
		"foo('x')":                             "invalid selector at offset 0: unknown function foo; want REGEX, INLIST, MAKELIST, REPLACE or SPLIT",
		"REGEX('a')":                           "invalid selector at offset 0: REGEX has 1 arguments; want 2 to 2",
		"REGEX('(', a)":                        "invalid selector at offset 6: regular expression: missing closing ): `(`",
		"REGEX(a, a)":                          "invalid selector at offset 6: want a regular expression in quotation marks",
		"INLIST(SPLIT(a, ',', b), 'c')":        "invalid selector at offset 7: the third argument of SPLIT is no whole number",
		"a = 9223372036854775808":              "invalid selector at offset 4: the number 9223372036854775808 is too large",
		"a = 0xfffffffffffffffff":              "invalid selector at offset 4: the number 0xfffffffffffffffff is too large",
		"convert_string_expressions:a =":       "invalid selector at offset 30: want a name, a literal or an opening parenthesis, found the end",
		"a = 1 " + strings.Repeat("x", 100):    "invalid selector at offset 6: want an operator or the end, found " + strings.Repeat("x", 40) + "...",
		"a = '\xff'":                           "the selector is not valid UTF-8",
		strings.Repeat(" ", MaxLength) + "a":   "the selector is 10241 bytes long, the limit is 10240",
		strings.Repeat("(", MaxDepth+1) + "a":  "invalid selector at offset 200: expressions are nested more than 200 deep",
		strings.Repeat("NOT ", MaxDepth) + "a": "invalid selector at offset 800: expressions are nested more than 200 deep",
		strings.Repeat("-", MaxDepth) + "1=1":  "invalid selector at offset 200: expressions are nested more than 200 deep",
		"a" + strings.Repeat("+1", MaxNodes) + "=1":            "invalid selector at offset 2049: the selector has more than 2048 parts",
		"a IN ('a'" + strings.Repeat(",'a'", MaxList) + ")":    "invalid selector at offset 4102: the list of IN has more than 1024 texts",
		"a LIKE '" + strings.Repeat("%", MaxLike+1) + "'":      "invalid selector at offset 1034: the patterns of LIKE are longer than 1024 bytes",
		"REGEX('(a{1000}){1000}', a)":                          "invalid selector at offset 6: regular expression: invalid repeat count: `{1000}`",
		"REGEX('[a-z]{600}', a)":                               "invalid selector at offset 6: the regular expressions take more than 512 steps",
		"REGEX('[a-z]{300}', a) OR REGEX('((a|b){50}){9}', a)": "invalid selector at offset 32: the regular expressions take more than 512 steps",
	} {
		_, err := Parse(selector)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), selector)
		require.Equal(t, text, gateway.TextOf(err), selector)
	}
}

func TestLongIsAllowedUpToTheLimits(t *testing.T) {
	for _, selector := range []string{
		strings.Repeat("(", MaxDepth-1) + "a = 1" + strings.Repeat(")", MaxDepth-1),
		"a = 1" + strings.Repeat(" OR a = 1", 500),
		"a IN ('1'" + strings.Repeat(",'b'", MaxList-1) + ")",
		"a LIKE '" + strings.Repeat("%", MaxLike) + "'",
		strings.Repeat(" ", MaxLength-5) + "a = 1",
		"INLIST(MAKELIST('1'" + strings.Repeat(",'b'", 1000) + "), a)",
	} {
		s, err := Parse(selector)
		require.NoError(t, err)
		require.Equal(t, selector, s.String())
		require.True(t, s.MatchMessage(message("a", "1"), 0))
	}
}

// TestBombsGoOffQuietly: whatever a selector says, a message costs a bounded time, and no more memory than the limits of texts.
func TestBombsGoOffQuietly(t *testing.T) {
	long := strings.Repeat("a", 10<<10)
	for _, selector := range []string{
		"a LIKE '" + strings.Repeat("%a", 511) + "b'",
		"a LIKE '" + strings.Repeat("%a_", 340) + "b'",
		"a LIKE '%" + strings.Repeat("_", 1000) + "b%'",
		"REGEX('(a+)+$b', a)",
		"REGEX('(a|a|a|a)*b', a)",
		"a" + strings.Repeat("+a", 1000) + " = 'x'",
		"a+a+a+a+a = 'x'" + strings.Repeat(" OR a+a+a+a+a = 'x'", 180),
		"REPLACE(REPLACE(REPLACE(a, 'a', 'aaaaaaaaaa'), 'a', 'aaaaaaaaaa'), 'a', 'aaaaaaaaaa') = 'x'",
		"REPLACE(a, '(a+)', '" + strings.Repeat("$1", 1000) + "') = 'x'",
		"REPLACE(a, 'a.*b|a', 'x') = 'y'",
		"INLIST(SPLIT(a, 'a.*b|a'), 'x')",
		"INLIST(SPLIT(a, ''), 'x')",
		"INLIST(SPLIT(a, 'a', -1), 'x')" + strings.Repeat(" OR INLIST(SPLIT(a, 'a', -1), 'x')", 100),
	} {
		s, err := Parse(selector)
		require.NoError(t, err, selector)
		begin := time.Now()
		require.False(t, s.MatchMessage(message("a", long), 0))
		took := time.Since(begin)
		t.Logf("FIGURE %s for %s", took.Round(time.Microsecond), brief(selector))
		require.Less(t, took, 5*time.Second, selector)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s.MatchMessage(message("a", long), 0)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), selector)
	}
}

func TestPlainComparisonsDoNotAllocate(t *testing.T) {
	m := message("namespace", "dev", "msg_type", "health", "request_id", "5", "f", "2.5", "b", "true")
	for _, selector := range []string{
		"namespace = 'dev' AND (msg_type = 'x' OR msg_type = 'health')",
		"request_id = 5", "request_id BETWEEN 1 AND 7", "f > 2.25", "b = TRUE", "JMSPriority >= 4", "JMSMessageID LIKE 'ID:%'", "msg_type LIKE '%ea_t%'",
		"msg_type IN ('a', 'b', 'health')", "gone IS NULL", "JMSPriority * 2 + 1 = 9", "JMSDeliveryMode = 'NON_PERSISTENT'", "NOT (request_id <> 5)", "REGEX('^hea', msg_type)",
	} {
		s, err := Parse(selector)
		require.NoError(t, err)
		require.True(t, s.MatchMessage(m, 0), selector)
		require.Zero(t, testing.AllocsPerRun(50, func() { s.MatchMessage(m, 0) }), selector)
	}
}

func TestRedeliveriesAreSeen(t *testing.T) {
	for selector, want := range map[string]struct{ depends, first, third bool }{
		"JMSRedelivered":                          {true, false, true},
		"JMSXDeliveryCount > 2":                   {true, false, true},
		"a = 1 OR NOT (JMSXDeliveryCount <> 3)":   {true, false, true},
		"JMSRedelivered = FALSE":                  {true, true, false},
		"a IS NULL AND JMSMessageID IS NOT NULL":  {false, true, true},
		"'JMSRedelivered' = 'JMSXDeliveryCount'":  {false, false, false},
		`"JMSRedelivered"`:                        {true, false, true},
		"JMSXGroupSeq = 0 AND JMSExpiration = 0":  {false, true, true},
		"JMSTimestamp = 10 AND JMSPriority = '4'": {false, true, true},
	} {
		s, err := Parse(selector)
		require.NoError(t, err)
		require.Equal(t, want.depends, s.Redelivered(), selector)
		require.Equal(t, want.first, s.MatchMessage(message(), 0), selector)
		require.Equal(t, want.third, s.MatchMessage(message(), 2), selector)
	}
	s, err := Parse("JMSXDeliveryCount > 0")
	require.NoError(t, err)
	require.True(t, s.MatchMessage(message(), 1<<32-1))
}

func TestWhatHeadersMean(t *testing.T) {
	m := message("type", "t", "correlation-id", "c", "reply-to", "/queue/r", "JMSXGroupID", "g", "JMSXGroupSeq", "7", "JMSXUserID", "u", "JMSPriority", "9")
	m.Expires, m.Persistent = 99, true
	for _, selector := range []string{
		"JMSType = 't' AND JMSCorrelationID = 'c' AND JMSReplyTo = 'queue://r'", "JMSXGroupID = 'g' AND JMSXGroupSeq = 7 AND JMSXUserID = 'u'",
		"JMSExpiration = 99 AND JMSDeliveryMode = 'PERSISTENT' AND JMSPriority = 4", "JMSDestination = 'queue://q.a'", "type IS NULL", "JMSActiveMQBrokerInTime = 0",
		"NOT JMSXGroupFirstForConsumer", "JMSXProducerTXID IS NULL",
	} {
		s, err := Parse(selector)
		require.NoError(t, err)
		require.True(t, s.MatchMessage(m, 0), selector)
	}
	m.Header = append(m.Header, gateway.Field{Name: "original-destination", Value: "/topic/o"})
	s, err := Parse("JMSDestination = 'topic://o'")
	require.NoError(t, err)
	require.True(t, s.MatchMessage(m, 0))
	for value, want := range map[string]string{"/topic/a": "topic://a", "/temp-queue/a": "temp-queue://a", "/other/a": "/other/a", "a": "a", "": "", "/queue": "/queue"} {
		require.Equal(t, Text(want), reply(Text(value)))
	}
}

// properties are typed, as those of other protocols may be.
type properties map[string]Value

func (p properties) Property(name string) Value { return p[name] }

func TestPropertiesOfOtherKinds(t *testing.T) {
	p := properties{"i": Integer(5), "l": Long(5), "d": Double(5), "s": Text("5"), "b": Boolean(true), "nan": Double(0)}
	for selector, want := range map[string]bool{
		"i = l AND l = d AND d = s AND s = i": true, "b": true, "NOT b": false, "b = 'true'": true, "i + l = 10 AND i / 2 = 2.5 AND -d = -5": true, "i LIKE '5'": false,
		"i IN ('5')": false, "s IN ('5')": true, "gone IS NULL": true, "i = b": false, "INLIST(MAKELIST(5), i)": true, "INLIST(MAKELIST('5'), i)": false,
		"'' + d = '5.0' AND '' + b = 'true' AND '' + l = '5'": true, "no_convert_string_expressions:s = 5": false, "no_convert_string_expressions:i = 5 AND s = '5'": true,
	} {
		s, err := Parse(selector)
		require.NoError(t, err)
		require.Equal(t, want, s.Match(p), selector)
	}
}

func TestDoublesAreShownAsJavaDoes(t *testing.T) {
	for text, f := range map[string]float64{"1.0": 1, "0.001": .001, "9.99E-4": .000999, "1.0E7": 1e7, "9999999.0": 9999999, "1.5E10": 1.5e10, "-0.5": -.5, "0.0": 0, "1.0E-5": 1e-5} {
		require.Equal(t, text, Double(f).String())
	}
	for selector, want := range map[string]string{"'' + 1/0 = 'Infinity'": "T", "'' + -(1/0) = '-Infinity'": "T", "'' + 0/0 = 'NaN'": "T"} {
		require.Equal(t, want, verdict(strings.Replace(selector, "1/0", "(1/0)", 1)), selector)
	}
}

func FuzzSelectors(f *testing.F) {
	for _, line := range strings.Split(strings.TrimSpace(verdicts+differences), "\n") {
		if columns := strings.Split(line, "|"); len(columns) > 1 {
			f.Add(unescaped(columns[1]), "21")
		}
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		s, err := Parse(text)
		if err != nil {
			require.Equal(t, gateway.Invalid, gateway.KindOf(err))
			require.Less(t, len(err.Error()), 512)
			return
		}
		m := message("a", value, "n", value, "x", value, "s", value)
		got := s.MatchMessage(m, 0)
		require.Equal(t, got, s.MatchMessage(m, 0))
		// What it says turned round is never selected together with it.
		if rest := s.text; s.convert && !strings.Contains(rest, ":") && !strings.Contains(rest, "--") {
			turned, err := Parse("NOT (" + rest + ")")
			if err == nil {
				require.False(t, got && turned.MatchMessage(m, 0))
			}
		}
	})
}

func FuzzLike(f *testing.F) {
	f.Add("a%b_", "axxb!", "!")
	f.Add("%a%a%", "aa", "%")
	f.Add("_%!%", "é€%", "!")
	f.Add("%_a", "aéa", "")
	f.Fuzz(func(t *testing.T, pattern, s, escape string) {
		e := rune(-1)
		for _, r := range escape {
			e = r
			break
		}
		pattern, s = strings.ToValidUTF8(pattern, "?"), strings.ToValidUTF8(s, "?")
		if strings.Count(pattern, "%") > 6 || len(s) > 64 {
			return // the naive one takes for ever
		}
		require.Equal(t, modelLike([]rune(pattern), []rune(s), e), parseLike(pattern, e).matches(&environment{}, s), "%q LIKE %q ESCAPE %q", s, pattern, escape)
	})
}

func BenchmarkMatch(b *testing.B) {
	m := message("namespace", "dev", "msg_type", "health_item", "request_id", "5")
	for _, selector := range []string{"namespace = 'dev' AND (msg_type = 'x' OR msg_type = 'health_item')", "request_id = 5", "msg_type LIKE 'health%'", "REGEX('^health', msg_type)"} {
		s, err := Parse(selector)
		require.NoError(b, err)
		b.Run(selector, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !s.MatchMessage(m, 0) {
					b.Fatal()
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := Parse("namespace = 'dev' AND (msg_type = 'x' OR msg_type IN ('a', 'b')) AND n BETWEEN 1 AND 5"); err != nil {
			b.Fatal(fmt.Sprint(err))
		}
	}
}
