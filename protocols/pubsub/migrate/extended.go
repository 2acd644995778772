package migrate

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Extended JSON is how MongoDB writes its types into JSON: numbers as {"$numberLong":"5"}, times as {"$date":...}, ids as {"$oid":"..."}. It has several forms, of
// which any is read; a plain number or text is well, too.

// Int is a whole number.
type Int int64

var errNumber = errors.New("not a number")

// UnmarshalJSON implements json.Unmarshaler.
func (n *Int) UnmarshalJSON(b []byte) error {
	text := string(b)
	if b[0] == '{' {
		var boxed struct {
			Long   *string `json:"$numberLong"`
			Int    *string `json:"$numberInt"`
			Double *string `json:"$numberDouble"`
		}
		if err := json.Unmarshal(b, &boxed); err != nil {
			return errNumber
		}
		switch {
		case boxed.Long != nil:
			text = *boxed.Long
		case boxed.Int != nil:
			text = *boxed.Int
		case boxed.Double != nil:
			text = *boxed.Double
		default:
			return errNumber
		}
	}
	if text == "null" {
		*n = 0
		return nil
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		*n = Int(i)
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != f || f < -(1<<53) || f > 1<<53 {
		return errNumber
	}
	*n = Int(f)
	return nil
}

// Time is a moment, zero if there is none.
type Time struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		var boxed struct {
			Date json.RawMessage `json:"$date"`
		}
		if err := json.Unmarshal(b, &boxed); err != nil || len(boxed.Date) == 0 {
			return errors.New("not a time")
		}
		b = boxed.Date
	}
	if b[0] == '"' {
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		return t.parse(text)
	}
	if bytes.Equal(b, []byte("null")) {
		*t = Time{}
		return nil
	}
	var ms Int
	if err := ms.UnmarshalJSON(b); err != nil {
		return errors.New("not a time")
	}
	t.Time = time.UnixMilli(int64(ms)).UTC()
	return nil
}

func (t *Time) parse(text string) error {
	if text == "" {
		*t = Time{}
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			t.Time = at.UTC()
			return nil
		}
	}
	return fmt.Errorf("%.40q is not a time", text)
}

// micro is the moment in Unix microseconds, 0 if there is none, or none that can be meant.
func (t Time) micro() int64 {
	if t.Year() < 1970 || t.Year() > 9999 {
		return 0
	}
	return t.UnixMicro()
}

// ObjectID is the ID that MongoDB gives a document. It says when that was made.
type ObjectID struct{ Made time.Time }

// UnmarshalJSON implements json.Unmarshaler. What is no such ID says nothing.
func (o *ObjectID) UnmarshalJSON(b []byte) error {
	var boxed struct {
		OID string `json:"$oid"`
	}
	*o = ObjectID{}
	if json.Unmarshal(b, &boxed) != nil || len(boxed.OID) != 24 {
		return nil
	}
	raw, err := hex.DecodeString(boxed.OID)
	if err != nil {
		return nil
	}
	o.Made = time.Unix(int64(raw[0])<<24|int64(raw[1])<<16|int64(raw[2])<<8|int64(raw[3]), 0).UTC()
	return nil
}
