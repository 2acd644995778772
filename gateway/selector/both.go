package selector

import "strings"

// Both returns the selector that selects what both select. Words that may stand before the first stay there and are for both; the second has none, and may be all there is.
func Both(first, second string) string {
	rest, s, hyphens := first, Selector{}, false
	for more := true; more; {
		rest, more = s.prefix(rest, &hyphens)
	}
	if strings.TrimSpace(rest) == "" {
		return second
	}
	return first[:len(first)-len(rest)] + "(" + rest + ") AND (" + second + ")"
}

// wildcards has what means something in a text, or to LIKE, mean itself.
var wildcards = strings.NewReplacer("'", "''", `\`, `\\`, "%", `\%`, "_", `\_`)

// NotOf selects messages whose ids do not begin with a text.
func NotOf(ids string) string {
	return `NOT (JMSMessageID LIKE '` + wildcards.Replace(ids) + `%' ESCAPE '\')`
}
