package advisory

import (
	"encoding/json"
	"strconv"
)

// object is a JSON object whose members keep their order, as ActiveMQ's have one.
type object []member

type member struct {
	name string
	// value is an object, a list, or what JSON has no parts for.
	value any
}

type list []any

// appendJSON appends a value of one of the types above.
func appendJSON(dst []byte, value any) []byte {
	switch x := value.(type) {
	case object:
		dst = append(dst, '{')
		for i := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendText(dst, x[i].name)
			dst = append(dst, ':')
			dst = appendJSON(dst, x[i].value)
		}
		return append(dst, '}')
	case list:
		dst = append(dst, '[')
		for i := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, x[i])
		}
		return append(dst, ']')
	case bool:
		return strconv.AppendBool(dst, x)
	case int64:
		return strconv.AppendInt(dst, x, 10)
	case int:
		return strconv.AppendInt(dst, int64(x), 10)
	case string:
		return appendText(dst, x)
	}
	return append(dst, "null"...)
}

func appendText(dst []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // a text has a form always
		return append(dst, `""`...)
	}
	return append(dst, text...)
}
