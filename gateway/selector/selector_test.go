package selector

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// message returns one with these fields.
func message(fields ...string) *gateway.Message {
	m := &gateway.Message{
		ID: "ID:h-1:1:1:1", Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "q.a"}, Priority: gateway.DefaultPriority, Timestamp: 10,
	}
	for i := 0; i+1 < len(fields); i += 2 {
		m.Header = append(m.Header, gateway.Field{Name: fields[i], Value: fields[i+1]})
	}
	return m
}

// verdict is T, F or U, or P for a selector that cannot be read.
func verdict(selector string, fields ...string) string {
	s, err := Parse(selector)
	if err != nil {
		return "P"
	}
	e := environment{message: message(fields...), convert: s.convert}
	switch v := s.root.eval(&e); {
	case v.kind != boolean:
		return "U"
	case v.isTrue():
		return "T"
	}
	return "F"
}

// TestVerdicts are those of ActiveMQ 5.17.
func TestVerdicts(t *testing.T) { check(t, verdicts) }

func check(t *testing.T, table string) {
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		columns := strings.Split(line, "|")
		want, selector := columns[0], unescaped(columns[1])
		var fields []string
		for _, c := range columns[2:] {
			fields = append(fields, unescaped(c))
		}
		assert.Equal(t, want, verdict(selector, fields...), "%s with %q", selector, fields)
	}
}

func unescaped(s string) string { return strings.NewReplacer(`\n`, "\n", `\\`, `\`).Replace(s) }

// TestDifferences are where ActiveMQ answers with a fault in the middle of a delivery, or not at all, or nothing that anybody can want.
func TestDifferences(t *testing.T) { check(t, differences) }

// TestFunctionsAnswerAsActiveMQs did to calls drawn at random.
func TestFunctionsAnswerAsActiveMQs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "functions.tsv"))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Len(t, lines, 500)
	for _, line := range lines {
		columns := strings.Split(line, "\t")
		require.Equal(t, columns[0], verdict(columns[1], columns[2:]...), line)
	}
}

// TestAnAnchorIsAtTheBeginningOnly, and not wherever the match before has ended.
func TestAnAnchorIsAtTheBeginningOnly(t *testing.T) {
	require.Equal(t, "T", verdict("REPLACE(x, '^a', 'b') = 'ba'", "x", "aa"))
	require.Equal(t, "T", verdict("REPLACE(x, '\\Ba', 'b') = 'abb'", "x", "aaa"))
	require.Equal(t, "U", verdict("REPLACE(x, '^a', 'b') = 'ba'", "x", strings.Repeat("a", 2000)), "that would take too long")
}

// verdicts: what, the selector, then names and values.
const verdicts = `
T|a = b
P|a = NULL
T|NULL IS NULL
T|a IS NULL
F|a IS NOT NULL
T|n = 21|n|21
T|n = 21.0|n|21
F|n = 21|n|21.0
F|n = ' 21'|n|21
F|n = 21|n| 21
T|n = 21|n|+21
T|n = 21.0|n| 21 
T|n = 21.0|n|21d
T|n = 1e400|n|Infinity
T|n > 10|n|21
T|10 < n|n|21
T|n <> 5|n|abc
T|NOT (n = 5)|n|abc
F|NOT n = 5|n|abc
U|n <> 5
T|b = true|b|true
T|b = true|b|TRUE
T|b = false|b|x
F|b|b|true
T|NOT b|b|true
T|b <> true|b|false
P|a.b = 1
T|REGEX('^a', x)|x|abc
P|regex('^a', x)|x|abc
T|REGEX('b', x)|x|abc
T|REGEX('^a', x) = true|x|abc
T|REGEX('^a', 'abc')
T|INLIST(SPLIT(x, ','), 'b')|x|a,b
T|INLIST(MAKELIST('a','b'), x)|x|b
T|INLIST(MAKELIST('a',x), x)|x|b
T|REPLACE(x, 'a', 'b') = 'bbb'|x|aba
T|REPLACE(x, '(a)', '$1x') = 'axbax'|x|aba
F|SPLIT(x, ',') = 'a'|x|a
F|SPLIT(x,',',1) = 'a'|x|a
U|NULL
T|TRUE
P|1
P|a + 1
F|a + 1 = 22|a|2
T|a + 1 = '21'|a|2
T|1 + 1 = 2
U|-a = -2|a|2
U|-a = -2
T|JMSPriority + 1 = 5
T|JMSPriority / 2 = 2
T|JMSPriority % 3 = 1
T|JMSPriority / 0 > 100
T|0 / 0 = 0 / 0
F|0.0 = -0.0
T|JMSPriority = '4'
P|JMSPriority > '3'
P|a > 'x'|a|y
T|a > b|a|2|b|10
T|a BETWEEN 1 AND 3|a|2
P|a BETWEEN 'a' AND 'c'|a|b
F|a NOT BETWEEN 1 AND 3|a|2
P|NOT a BETWEEN 1 AND 3|a|2
T|a IN ('x','y')|a|x
P|a IN ()|a|x
P|'x' IN ('x')
P|a IN (1)|a|1
U|JMSPriority IN ('4')
U|JMSPriority NOT IN ('4')
T|a LIKE 'x%'|a|xyz
T|a LIKE 'x\nz'|a|x\nz
T|a LIKE 'x_z'|a|x\nz
T|a LIKE '1\\%' ESCAPE '\\'|a|1%
F|a LIKE 'a!b' ESCAPE '!'|a|ab
T|a LIKE 'a!b' ESCAPE '!'|a|a!b
T|a LIKE 'a!!b' ESCAPE '!'|a|a!b
T|a LIKE 'a%!' ESCAPE '!'|a|a!
P|a LIKE 'x' ESCAPE 'ab'|a|x
F|JMSPriority LIKE '4'
F|NOT JMSPriority LIKE '4'
T|'abc' LIKE 'a%'
P|a LIKE b|a|x|b|x
T|a = 1 = TRUE|a|1
T|(a = 1) = TRUE|a|1
T|(a = 1) = (b = 2)|a|1|b|2
T|TRUE = TRUE
P|TRUE = 'x'
F|'x' = TRUE
F|1 = 'x'
T|1 = '1'
P|TRUE > FALSE
P|NULL = NULL
P|1 = NULL
P|a > NULL|a|1
T|a = 1 AND b = 2 OR c = 3|c|3
T|a = 0x15|a|21
T|a = 017|a|15
P|a = 09|a|9
T|a = 5L|a|5
T|a = 5l|a|5
T|a = 5.|a|5
T|a = .5|a|0.5
T|a = 5E-1|a|0.5
T|a = 5e-1|a|0.5
P|a = 5f|a|5
T|a = 9223372036854775807|a|9223372036854775807
T|a = -9223372036854775808|a|-9223372036854775808
F|2147483647 + 1 = 2147483648
T|2147483647 + 1 = -2147483648
T|2147483648 > 2147483647
P|a == 1|a|1
P|a != 1|a|1
T|a = 'it''s'|a|it's
F|a = 1 -- comment|a|1
T|a = 1 -- comment\n|a|1
T|a = 1 /* c */ AND b = 2|a|1|b|2
T|a = 1 /* c ** */|a|1
P|a = 1 garbage|a|1
P|a = 1 AND|a|1
P|(a = 1|a|1
P|a = 1)|a|1
P|=TEST 'test'
P|3 + 5
P|True AND 3+5
F|a IS NULL IS NULL
F|a = b IS NULL
T|a+1 IS NULL
F|1 IS NULL
T|'x' IS NOT NULL
T|(a = 1) IS NULL
T|a = ''|a|
F|a IS NULL|a|
T|NOT a = 1 OR TRUE
U|NOT (NULL)
T|a = 1 OR NULL|a|1
T|$a = 1|$a|1
T|_a = 1|_a|1
P|ä = 1|ä|1
T|a = 'ä'|a|ä
T|a LIKE '_'|a|ä
T|a LIKE '_'|a|😀
F|a LIKE '__'|a|😀
T|JMSDestination = 'queue://q.a'
T|JMSMessageID = 'ID:h-1:1:1:1'
F|JMSDeliveryMode = 'PERSISTENT'
T|JMSDeliveryMode = 'NON_PERSISTENT'
T|JMSExpiration = 0
T|JMSRedelivered = FALSE
F|JMSRedelivered
T|NOT JMSRedelivered
T|'false' = JMSRedelivered
T|JMSXDeliveryCount = 1
T|JMSXGroupSeq = 0
T|JMSXGroupID IS NULL
T|JMSXUserID IS NULL
T|JMSReplyTo IS NULL
T|JMSCorrelationID IS NULL
F|JMSXGroupFirstForConsumer
T|JMSActiveMQBrokerInTime = 0
T|convert_string_expressions:a = 1|a|1
T|+a = 2|a|2
T|+1 = 1
T|--1 = 1
T|- -1 = 1
T|-(1) = -1
F|NOT NOT a = 1|a|1
T|'a' + 'b' = 'ab'
T|'a' + 1 = 'a1'
T|'a' + TRUE = 'atrue'
T|a + b = 'xy'|a|x|b|y
T|(a) IN ('x')|a|x
T|a IN ('x') = TRUE|a|x
T|a NOT LIKE 'x'|a|y
T|a NOT IN ('x')|a|y
P|a NOT = 1|a|1
U|a LIKE 'x' AND NOT b|a|x
P|a > 1 > 2|a|2
P|(a > 1) > 2|a|2
U|-'1' = 1
P|UNKNOWN(a)|a|1
P|REGEX(a)|a|1
F|REGEX('a.c', x)|x|a\nc
F|REGEX('a', y)
T|REGEX('a', y) OR TRUE
F|INLIST(SPLIT('a,b', ','), y)
F|INLIST(MAKELIST(1,2), x)|x|2
F|INLIST(MAKELIST('1','2'), 2)
P|INLIST(MAKELIST(), x)|x|2
F|REPLACE(x, 'a', 'b') IS NULL|x|a
T|INLIST(SPLIT(x, ',', 2), 'b,c')|x|a,b,c
F|INLIST(SPLIT(x, ','), '')|x|a,b,,
T|INLIST(SPLIT(x, ',', -1), '')|x|a,b,,
T|REPLACE(x, 'a', 'b') LIKE 'b%'|x|a
T|REPLACE(x, 'a', '7') > 6|x|a
T|REPLACE(x, 'a', '7') = 7|x|a
P|REPLACE(x, 'a', 'b') IN ('b')|x|a
T|NOT REGEX('a', y)
T|REGEX('a', y) = FALSE
F|REGEX('a', y) IS NULL
T|INLIST(SPLIT(x, ','), 'a') = TRUE|x|a
U|x BETWEEN 1 AND y|x|1
F|x BETWEEN 3 AND y|x|1
T|x IS NULL = TRUE
T|NOT x IS NULL
F|NOT x IS NULL|x|true
T|- x IS NULL|x|true
P|TRUE IN ('a')
T|(TRUE)
P|'a'
F|(x)|x|true
F|x AND y|x|true
T|a LIKE ''|a|
T|a LIKE '%'|a|
T|a LIKE 'b%' ESCAPE 'b'|a|%
F|a LIKE 'ab' ESCAPE 'b'|a|a
T|a LIKE 'ab' ESCAPE 'b'|a|ab
T|a LIKE '__' ESCAPE '_'|a|_
T|a LIKE '%%' ESCAPE '%'|a|%
F|a LIKE '%%' ESCAPE '%'|a|ab
T|a LIKE 'bb' ESCAPE 'b'|a|b
F|a LIKE 'bb' ESCAPE 'b'|a|bb
T|a LIKE 'bb%' ESCAPE 'b'|a|b%
T|a LIKE 'bb%' ESCAPE 'b'|a|bb%
T|a LIKE 'bb%' ESCAPE 'b'|a|bbx
F|a LIKE 'A%'|a|abc
F|a LIKE '[a]'|a|a
T|a = 1.0e400|a|Infinity
T|a > 1.0|a|NaN
T|a = 0x1FFFFFFFFF|a|137438953471
P|a = 0xFFFFFFFFFFFFFFFFFFFFFF|a|1
T|a = 00|a|0
P|a = 0L|a|0
P|a = 0x1L|a|1
T|'abc' = 'abc'
T|'abc' + 1.5 = 'abc1.5'
T|'' + 1e10 = '1.0E10'
U|'' + y = '5'
U|y IN ('a')
P|1 IN ('a')
T|(a = 1 OR b = 2) AND c = 3|a|1|c|3
T|a=1AND b=2|a|1|b|2
P|a=1 ANDb=2|a|1|b|2
P|a = 'x|a|x
T|a<>'x'|a|y
T|a>=5 AND a<=5|a|5
P|a> =5|a|5
P|a < > 5|a|5
T|5 % 3 = 2
T|7/2 = 3.5
T|-7%3 = -1
U|-a-b = 1
T|1-1=0
T|1-+1=0
T|2*3+4=10 AND 2+3*4=14
T|2-3-4 = -5
T|JMSRedelivered <> TRUE
T|b = JMSRedelivered|b|x
F|a = b|a|1
U|b = a|a|1
T|a <> b|a|1
U|b <> a|a|1
F|a = -b|a|1
T|a = 1 -- 1|a|2
`

const differences = `
T|true = b|b|true
T|a-b = 1|a-b|1
T|"a-b" = 1|a-b|1
P|REGEX(y, x)|x|abc|y|b
U|1 + a = 3|a|2
U|a - 1 = 1|a|2
P|a = 9223372036854775808|a|9223372036854775808
P|a = 99999999999999999999|a|99999999999999999999
T|JMSRedelivered = 'false'
T|hyphenated_props:a-b = 1|a-b|1
F|no_convert_string_expressions:a = 1|a|1
U|a * 2 = 4|a|2
U|1 + 'a' = '1a'
P|REGEX('(', a)|a|1
P|XPATH 'x'
P|REGEX(x, x)|x|a
U|INLIST(SPLIT(y, ','), 'a')
U|INLIST(x, x)|x|2
U|REPLACE(x, 'a', 1) = '1'|x|a
U|REPLACE(y, 'a', 'b') = 'b'
P|INLIST(SPLIT(x, ',', '2'), 'b,c')|x|a,b,c
T|JMSRedelivered = b|b|false
T|a-b-c = 1|a-b-c|1
U|a-b-c = 1|a-b|1
T|content-type = 'text/plain' AND "content-type" LIKE 'text%'|content-type|text/plain
T|a-b IN ('1') AND a-b LIKE '_' AND a-b > 0|a-b|1
U|a - b = 1|a-b|1
U|a -b = 1|a-b|1
T|JMSPriority-JMSTimestamp = -6
T|2*JMSPriority-JMSTimestamp = -2
T|-JMSPriority-JMSTimestamp = -14
U|a-"b" = 1|a-b|1
U|correlation-id = '1'|correlation-id|1
T|hyphenated_props:hyphen-5 = 1|hyphen-5|1
T|hyphenated_props:JMSPriority - 5 = -1 AND JMSPriority -5 = -1
T|hyphenated_props:convert_string_expressions:a-b-1 = 1|a-b-1|1
T|no_hyphenated_props:JMSPriority-5 = -1
T|convert_hyphenated_properties:a-b = 1|a-b|1
T|no_convert_string_expressions:a = '1' AND JMSPriority = 4|a|1
T|"a""b" = 'x'|a"b|x
T|"AND" = 'x'|AND|x
P|"x" ('a')
`
