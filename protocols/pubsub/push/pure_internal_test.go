package push

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// A linear pace is what was asked for, whatever happens.
func TestLinearPace(t *testing.T) {
	for period, want := range map[int64]time.Duration{
		0: 3 * time.Second, -1: 3 * time.Second, 300: 300 * time.Millisecond, 1: time.Millisecond, math.MaxInt64: 24 * time.Hour,
	} {
		p := paceOf(&resource.Push{RetryType: Linear, RetryPeriod: period})
		for i := range 10 {
			require.Equal(t, want, p.gap, "period %d", period)
			p = p.after(i%3 == 0)
		}
	}
}

// A slow start begins with a second, halves its gap down to 300 ms while all goes well, doubles it up to a day while it does not, and begins again after that.
func TestSlowStart(t *testing.T) {
	p := paceOf(&resource.Push{RetryType: SlowStart, RetryPeriod: 5})
	gaps := func(p pace, well bool, n int) (all []time.Duration) {
		for range n {
			p = p.after(well)
			all = append(all, p.gap)
		}
		return all
	}
	const ms = time.Millisecond
	require.Equal(t, time.Second, p.gap)
	require.Equal(t, []time.Duration{500 * ms, 300 * ms, 300 * ms}, gaps(p, true, 3))
	require.Equal(t, []time.Duration{2000 * ms, 4000 * ms, 8000 * ms}, gaps(p, false, 3))
	require.Equal(t, 24*time.Hour, gaps(p, false, 40)[39])
	require.Equal(t, time.Second, p.after(true).after(false).after(false).after(true).gap)
}

// The model: the gap of a slow start depends on how many pushes in a row went as the last one did, and on the gap before them.
func TestSlowStartModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, want, before := paceOf(&resource.Push{RetryType: SlowStart}), float64(1000), true
		for _, well := range rapid.SliceOfN(rapid.Bool(), 0, 60).Draw(t, "went well") {
			switch {
			case well && !before:
				want = 1000
			case well:
				want = math.Max(want/2, 300)
			default:
				want = math.Min(want*2, 86_400_000)
			}
			before = well
			p = p.after(well)
			if got := float64(p.gap) / float64(time.Millisecond); math.Abs(got-want) > 0.01 {
				t.Fatalf("the gap is %v ms, not %v", got, want)
			}
		}
	})
}

func messages(data ...string) (all []wire.Message) {
	for i, d := range data {
		all = append(all, wire.Message{ID: fmt.Sprint(i), Attributes: map[string]string{"foo": "bar"}, Data: d, Published: "2026-11-20T20:33:01Z"})
	}
	return all
}

// The bodies of pushes are the service's, to the letter.
func TestPayload(t *testing.T) {
	name := resource.Name{Project: "P", Name: "s"}
	const sub = `"subscription":"projects/P/subscriptions/s"}`
	one := func(id, data string) string {
		return `{"message":{"messageId":"` + id + `","attributes":{"foo":"bar"},"data":"` + data + `","publishTime":"2026-11-20T20:33:01Z"},` + sub
	}
	for what, c := range map[string]struct {
		push resource.Push
		in   []wire.Message
		want string
	}{
		"single":                     {resource.Push{MaxMessages: 1}, messages("aGk="), one("0", "aGk=")},
		"no number is one":           {resource.Push{}, messages("aGk="), one("0", "aGk=")},
		"several":                    {resource.Push{MaxMessages: 3}, messages("aGk=", "eW91"), `{"messages":[` + one("0", "aGk=") + "," + one("1", "eW91") + `]}`},
		"several of which one is":    {resource.Push{MaxMessages: 3}, messages("aGk="), `{"messages":[` + one("0", "aGk=") + `]}`},
		"decoded":                    {resource.Push{MaxMessages: 1, Base64Decode: true}, messages("aGk="), one("0", "hi")},
		"decoded, of several":        {resource.Push{MaxMessages: 2, Base64Decode: true}, messages("aGk="), `{"messages":[` + one("0", "hi") + `]}`},
		"no base64 stays":            {resource.Push{MaxMessages: 1, Base64Decode: true}, messages("hi there"), one("0", "hi there")},
		"bytes that are no text":     {resource.Push{MaxMessages: 1, Base64Decode: true}, messages("/w=="), one("0", "/w==")},
		"no attributes":              {resource.Push{}, []wire.Message{{ID: "7", Published: "x"}}, `{"message":{"messageId":"7","data":"","publishTime":"x"},` + sub},
		"Mattermost":                 {resource.Push{Type: Mattermost, Base64Decode: true}, messages("aGk="), `{"text":"hi"}`},
		"Mattermost, not decoded":    {resource.Push{Type: Mattermost, MaxMessages: 5}, messages("aGk="), `{"text":"aGk="}`},
		"Mattermost, with its names": {resource.Push{Type: Mattermost, MattermostUsername: "bot", MattermostChannel: "town"}, messages("x"), `{"text":"x","username":"bot","channel":"town"}`},
	} {
		require.Equal(t, c.want, string(payload(name, &c.push, c.in)), what)
	}
	require.Equal(t, 1, batch(&resource.Push{Type: Mattermost, MaxMessages: 9}), "a note is one message")
	require.Equal(t, mostMessages, batch(&resource.Push{MaxMessages: math.MaxInt64}))
	for status, want := range map[int]bool{200: true, 201: true, 204: true, 102: true, 202: false, 203: false, 301: false, 302: false, 400: false, 500: false, 100: false} {
		require.Equal(t, want, taken(&resource.Push{Type: HTTPEndpoint}, status), status)
		require.Equal(t, status == 200, taken(&resource.Push{Type: Mattermost}, status), status)
	}
}

// Whatever a payload is made of, it is JSON, and what is decoded in it is what was encoded.
func FuzzPayload(f *testing.F) {
	f.Add("aGk=", "k", "v", true, int64(1))
	f.Add("\xff", "", "\"", false, int64(2))
	f.Fuzz(func(t *testing.T, data, name, value string, decode bool, most int64) {
		p := resource.Push{MaxMessages: most, Base64Decode: decode}
		b := payload(resource.Name{Project: "P", Name: "s"}, &p, []wire.Message{{ID: "1", Data: data, Attributes: map[string]string{name: value}}})
		var one wire.Pushed
		var many wire.PushedMany
		if batch(&p) == 1 {
			require.NoError(t, json.Unmarshal(b, &one))
		} else {
			require.NoError(t, json.Unmarshal(b, &many))
			require.Len(t, many.Messages, 1)
			one = many.Messages[0]
		}
		want := data
		if decode {
			want = plain(data)
		}
		shown, err := json.Marshal(want)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(shown, &want))
		require.Equal(t, want, one.Message.Data)
	})
}

// What pushes may go to is the public internet; no other way of writing an address leads inside.
func TestGuard(t *testing.T) {
	closed := []string{
		"0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255", "ff02::1",
		"192.0.0.192", "192.0.2.1", "198.51.100.9", "203.0.113.7", "2001:db8::1", "3fff::1", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "192.88.99.1", "5f00::1", "100::1",
		"2002:7f00:1::", "2001:0:1::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "::7f00:1", "::ffff:0:127.0.0.1",
	}
	inside := []string{
		"127.0.0.1", "127.9.9.9", "::1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "198.18.0.1", "fc00::1", "fdff::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1",
	}
	public := []string{"1.1.1.1", "8.8.8.8", "172.32.0.1", "172.15.0.1", "100.63.0.1", "100.128.0.1", "11.0.0.1", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "223.255.255.255"}
	plain, private := newGuard(false, nil), newGuard(true, nil)
	all := newGuard(false, prefixes("127.0.0.0/8", "169.254.169.254/32"))
	for _, s := range closed {
		require.False(t, plain.permits(netip.MustParseAddr(s)), s)
		require.False(t, private.permits(netip.MustParseAddr(s)), s)
	}
	for _, s := range inside {
		require.False(t, plain.permits(netip.MustParseAddr(s)), s)
		require.True(t, private.permits(netip.MustParseAddr(s)), s)
	}
	for _, s := range public {
		require.True(t, plain.permits(netip.MustParseAddr(s)), s)
	}
	require.False(t, plain.permits(netip.Addr{}))
	require.False(t, private.permits(netip.Addr{}))
	require.True(t, all.permits(netip.MustParseAddr("::ffff:127.0.0.1")))
	require.True(t, all.permits(netip.MustParseAddr("169.254.169.254")))
	require.False(t, all.permits(netip.MustParseAddr("169.254.169.253")))
	require.ErrorIs(t, plain.control("tcp4", "127.0.0.1:443", nil), errAddress)
	require.ErrorIs(t, plain.control("tcp6", "[::ffff:127.0.0.1]:443", nil), errAddress)
	require.ErrorIs(t, plain.control("unix", "/run/some.sock", nil), errAddress)
	require.NoError(t, plain.control("tcp4", "1.1.1.1:443", nil))
}

// Every address of IPv4, written in each of the ways in which one of IPv6 stands for it, is permitted if it is permitted itself, and no other way.
func FuzzGuard(f *testing.F) {
	f.Add(uint32(0x7f000001))
	f.Add(uint32(0xa9fea9fe))
	f.Fuzz(func(t *testing.T, n uint32) {
		v4 := [4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		a := netip.AddrFrom4(v4)
		g := newGuard(false, nil)
		var nat [16]byte
		copy(nat[:], []byte{0, 0x64, 0xff, 0x9b})
		copy(nat[12:], v4[:])
		require.Equal(t, g.permits(a), g.permits(netip.AddrFrom16(a.As16())))
		require.Equal(t, g.permits(a), g.permits(netip.AddrFrom16(nat)))
		if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
			require.False(t, g.permits(a))
		}
	})
}

func TestValidEndpoint(t *testing.T) {
	for s, want := range map[string]bool{
		"https://a.example/push": true, "https://a.example:8443": true, "https://[2001:db8::1]:8/x?y=z": true, "HTTPS://a.example": true,
		"http://a.example": false, "a.example/push": false, "https://": false, "https:///x": false, "https://user:word@a.example": false, "https://a.example/#x": false,
		"https:a.example": false, "ftp://a.example": false, "": false, "https://a b.example": false, "https://a.example\n": false, "file:///etc/passwd": false,
		"https://a.example/" + strings.Repeat("x", mostURL): false, "https://:443/": false,
	} {
		require.Equal(t, want, ValidEndpoint(s), s)
	}
}

// What is told of a fault says nothing of what is inside.
func TestFaultsSayLittle(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Err: err} }
	for want, err := range map[string]error{
		"the address of the endpoint is not allowed":     dial(fmt.Errorf("%w: 10.0.0.7", errAddress)),
		"the endpoint cannot be reached":                 dial(errors.New("connect: connection refused by 10.0.0.7")),
		"the name of the endpoint cannot be resolved":    dial(&net.DNSError{Err: "no such host", Name: "secret", Server: "10.0.0.53", IsNotFound: true}),
		"the endpoint does not answer in time":           fmt.Errorf("x: %w", context.DeadlineExceeded),
		"the certificate of the endpoint is not trusted": &tls.CertificateVerificationError{Err: errors.New("secret")},
	} {
		f := faultOf(err)
		require.Equal(t, want, f.Error())
		require.ErrorIs(t, f, err)
	}
	require.Equal(t, "the endpoint answered 500: a b?c", refusal(answer{500, []byte("a\nb\xffc\x1b")}).Error())
	require.Equal(t, "the endpoint answered 302", refusal(answer{302, nil}).Error())
	require.LessOrEqual(t, len(refusal(answer{500, []byte(strings.Repeat("é", 500))}).Error()), mostSaid+40)
}
