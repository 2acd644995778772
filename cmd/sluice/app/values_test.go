package app

import (
	"encoding"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func read[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](text string) (T, string) {
	var v T
	if err := P(&v).UnmarshalText([]byte(text)); err != nil {
		return v, err.Error()
	}
	return v, ""
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]ByteSize{
		"0": 0, "512": 512, "7B": 7, "64KiB": 65536, "16 MiB": 16 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40,
		"10kB": 10_000, "10MB": 10_000_000, "1GB": 1_000_000_000, "8388607TiB": 8388607 << 40,
	} {
		got, err := read[ByteSize](text)
		require.Empty(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"":           `"" is not a size (a whole number with B, KiB, MiB, GiB, kB, MB, ...)`,
		"MiB":        `"MiB" is not a size (a whole number with B, KiB, MiB, GiB, kB, MB, ...)`,
		"-1":         `"-1" is not a size (a whole number with B, KiB, MiB, GiB, kB, MB, ...)`,
		"1.5GiB":     `"1.5GiB" is not a size (a whole number with B, KiB, MiB, GiB, kB, MB, ...)`,
		"16M":        `"16M" is not a size (a whole number with B, KiB, MiB, GiB, kB, MB, ...)`,
		"8388608TiB": `"8388608TiB" is more than can be counted`,
	} {
		_, err := read[ByteSize](text)
		require.Equal(t, want, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := ByteSize(rapid.Int64Min(0).Draw(t, "size"))
		got, err := read[ByteSize](s.String())
		require.Empty(t, err)
		require.Equal(t, s, got)
	})
}

func TestReserve(t *testing.T) {
	auto, err := read[Reserve]("auto")
	require.Empty(t, err)
	require.Equal(t, Reserve{}, auto)
	require.Equal(t, "auto", auto.String())
	fixed, err := read[Reserve]("2GiB")
	require.Empty(t, err)
	require.Equal(t, Reserve{Size: 2 * GiB, Fixed: true}, fixed)
	require.Equal(t, "2GiB", fixed.String())
	_, err = read[Reserve]("automatic")
	require.Equal(t, `"automatic" is not a size (a whole number with B, KiB, MiB, GiB, kB, MB, ...) or "auto"`, err)
}

func TestDuration(t *testing.T) {
	for text, shown := range map[string]string{
		"0s": "0s", "10s": "10s", "60s": "1m", "90s": "1m30s", "3600s": "1h", "1h30m": "1h30m", "500ms": "500ms", "0": "0s", "20m": "20m", "10h0m5s": "10h0m5s",
	} {
		got, err := read[Duration](text)
		require.Empty(t, err, text)
		require.Equal(t, shown, got.String(), text)
	}
	for _, text := range []string{"", "10", "-1s", "soon", "-0s"} {
		_, err := read[Duration](text)
		require.Equal(t, `"`+text+`" is not a duration (such as 500ms, 10s, 1m30s)`, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Min(0).Draw(t, "duration"))
		got, err := read[Duration](d.String())
		require.Empty(t, err)
		require.Equal(t, d, got)
	})
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]struct {
		address  Address
		loopback bool
	}{
		"127.0.0.1:61613":   {Address{"127.0.0.1", 61613}, true},
		"127.9.9.9:1":       {Address{"127.9.9.9", 1}, true},
		"[::1]:0":           {Address{"::1", 0}, true},
		"localhost:4222":    {Address{"localhost", 4222}, true},
		":61613":            {Address{"", 61613}, false},
		"0.0.0.0:61613":     {Address{"0.0.0.0", 61613}, false},
		"[::]:61613":        {Address{"::", 61613}, false},
		"mq.example.org:65": {Address{"mq.example.org", 65}, false},
	} {
		got, err := read[Address](text)
		require.Empty(t, err, text)
		require.Equal(t, want.address, got)
		require.Equal(t, text, got.String())
		require.Equal(t, want.loopback, got.Loopback(), text)
	}
	for text, want := range map[string]string{
		"":                `"" is not an address (want host:port, such as 127.0.0.1:61613)`,
		"127.0.0.1":       `"127.0.0.1" is not an address (want host:port, such as 127.0.0.1:61613)`,
		"::1:61613":       `"::1:61613" is not an address (want host:port, such as 127.0.0.1:61613)`,
		"127.0.0.1:stomp": `"127.0.0.1:stomp" has no usable port (want a number from 0 to 65535)`,
		"127.0.0.1:65536": `"127.0.0.1:65536" has no usable port (want a number from 0 to 65535)`,
		"stomp//x:1":      `"stomp//x:1" has no usable host`,
		"a b:1":           `"a b:1" has no usable host`,
	} {
		_, err := read[Address](text)
		require.Equal(t, want, err)
	}
}

func TestGrace(t *testing.T) {
	for _, text := range []string{"1", "2", "1.5", "100"} {
		g, err := read[Grace](text)
		require.Empty(t, err)
		shown, _ := g.MarshalText()
		require.Equal(t, text, string(shown))
	}
	for _, text := range []string{"", "0", "0.9", "101", "NaN", "Inf", "two"} {
		_, err := read[Grace](text)
		require.Equal(t, `"`+text+`" is not a factor from 1 to 100`, err)
	}
}

func TestChoices(t *testing.T) {
	for _, err := range []string{
		second(read[Durability]("disk")), second(read[Durability]("quorum")), second(read[Durability]("relaxed")),
		second(read[Protocol]("stomp")), second(read[Protocol]("nats")), second(read[Protocol]("admin")),
		second(read[ErrorStyle]("activemq")), second(read[ErrorStyle]("strict")),
		second(read[Personality]("activemq")), second(read[Personality]("rabbitmq")), second(read[Personality]("artemis")),
		second(read[Personality]("apollo")), second(read[Personality]("strict")),
		second(read[SlowConsumer]("drop_oldest")), second(read[SlowConsumer]("disconnect")),
		second(read[LogLevel]("debug")), second(read[LogLevel]("info")), second(read[LogLevel]("warn")), second(read[LogLevel]("error")),
		second(read[LogFormat]("auto")), second(read[LogFormat]("text")), second(read[LogFormat]("json")),
	} {
		require.Empty(t, err)
	}
	for got, want := range map[string]string{
		second(read[Durability]("disc")):       `"disc" is not disk, quorum or relaxed, did you mean "disk"?`,
		second(read[Durability]("eventually")): `"eventually" is not disk, quorum or relaxed`,
		second(read[Protocol]("STOMP")):        `"STOMP" is not stomp, websocket, nats, nats-websocket, mqtt, pubsub, authn or admin`,
		second(read[ErrorStyle]("stricts")):    `"stricts" is not activemq or strict, did you mean "strict"?`,
		second(read[Personality]("rabbit")):    `"rabbit" is not activemq, rabbitmq, artemis, apollo or strict, did you mean "rabbitmq"?`,
		second(read[SlowConsumer]("drop")):     `"drop" is not drop_oldest or disconnect`,
		second(read[LogLevel]("warning")):      `"warning" is not debug, info, warn or error`,
		second(read[LogFormat]("jsn")):         `"jsn" is not auto, text or json, did you mean "json"?`,
	} {
		require.Equal(t, want, got)
	}
}

func second[A, B any](_ A, b B) B { return b }

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"adress", "address", 1}, {"kitten", "sitting", 3}, {"abc", "abc", 0}} {
		require.Equal(t, c.want, distance(c.a, c.b), c)
		require.Equal(t, c.want, distance(c.b, c.a), c)
	}
}
