package resource

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// Page is a part of a list that is ordered from the newest to the oldest: from the place of a token on, at most size of them; 0 is all, an empty token the beginning.
// next is the token of what comes after it, empty if nothing does. A token stays good when what it names is gone. Not ok: it is no token.
func Page[T any](all []T, origin func(T) *Origin, size int, token string) (page []T, next string, ok bool) {
	if token != "" {
		from, ok := parseToken(token)
		if !ok {
			return nil, "", false
		}
		i := 0
		for i < len(all) && newer(origin(all[i]), &from) < 0 {
			i++
		}
		all = all[i:]
	}
	if size <= 0 || size >= len(all) {
		return all, "", true
	}
	o := origin(all[size])
	return all[:size], base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(o.Created, 10) + "." + o.ID)), true
}

func parseToken(token string) (o Origin, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return o, false
	}
	created, id, found := strings.Cut(string(b), ".")
	o.ID = id
	o.Created, err = strconv.ParseInt(created, 10, 64)
	return o, found && err == nil
}
