package stomp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// like starts a listener with that personality.
func like(p Personality) func(*Config) { return func(cfg *Config) { cfg.Personality = p } }

// Clients choose how they speak by the beginning of the server header, or by that of the session.
func TestPersonalitiesShowWhoTheyAre(t *testing.T) {
	for p, begins := range map[Personality][2]string{
		ActiveMQ: {"ActiveMQ/5.18.0 Sluice/", "ID:"}, RabbitMQ: {"RabbitMQ/3.", "session-"}, Artemis: {"ActiveMQ-Artemis/2.", "ID:"},
		Apollo: {"apache-apollo/1.7", "ID:"}, Strict: {"Sluice/", "ID:"},
	} {
		c := dial(t, start(t, newFakeBroker(), like(p)))
		c.send("CONNECT\naccept-version:1.2\n\n^")
		r := c.expect("CONNECTED")
		require.True(t, strings.HasPrefix(r.get("server"), begins[0]), r.get("server"))
		require.True(t, strings.HasPrefix(r.get("session"), begins[1]), r.get("session"))
		if p == RabbitMQ {
			require.Len(t, r.get("session"), len("session-")+22)
		}
		require.Equal(t, strings.Replace(r.get("server"), "dev", "1.2.3", 1), p.ServerHeader("1.2.3"))
	}
}

func TestPersonalitiesRefuseInTheirWords(t *testing.T) {
	type words struct{ message, text string }
	for p, want := range map[Personality]struct{ versions, login words }{
		ActiveMQ: {
			words{"Invalid Protocol version[9], supported versions are: [1.2, 1.1, 1.0]", "Invalid Protocol version[9], supported versions are: [1.2, 1.1, 1.0]"},
			words{"User name [u] or password is invalid.", "User name [u] or password is invalid."},
		},
		RabbitMQ: {words{"Version mismatch", "Supported versions are 1.0,1.1,1.2\n"}, words{"Bad CONNECT", "Access refused for user 'u'\n"}},
		Apollo:   {words{"version not supported", "version not supported"}, words{"User name [u] or password is invalid.", "User name [u] or password is invalid."}},
	} {
		b := newFakeBroker()
		b.users = map[string]string{}
		s := start(t, b, like(p))
		for frame, want := range map[string]words{"accept-version:9": want.versions, "login:u\npasscode:x": want.login} {
			c := dial(t, s)
			c.send("CONNECT\n" + frame + "\n\n^")
			r := c.expect("ERROR")
			require.Equal(t, want, words{r.get("message"), r.body})
			require.Equal(t, strings.HasPrefix(frame, "accept"), r.get("version") == supportedVersions)
			c.expectClosed()
		}
	}
}

// Errors may be chosen apart from the personality.
func TestErrorsEndTheConnectionOrNot(t *testing.T) {
	for p := range dialects {
		for _, errors := range []Errors{UsualErrors, LenientErrors, FatalErrors} {
			c := login(t, start(t, newFakeBroker(), like(Personality(p)), func(cfg *Config) { cfg.Errors = errors }), "1.2")
			c.send("ACK\nreceipt:r\n\n^")
			require.Equal(t, "r", c.expect("ERROR").get("receipt-id"))
			if errors == FatalErrors || errors == UsualErrors && Personality(p).FatalErrors() {
				c.expectClosed()
			} else {
				c.expectAlive()
			}
		}
	}
	for _, bad := range []Config{{Personality: Strict + 1}, {Errors: FatalErrors + 1}} {
		bad.Broker, bad.Address = newFakeBroker(), "127.0.0.1:0"
		_, err := New(bad)
		require.ErrorContains(t, err, "no such personality")
	}
}

func TestB4Row119DuplicateIDByPersonality(t *testing.T) {
	for p, closes := range map[Personality]bool{RabbitMQ: true, Artemis: false, Apollo: true, Strict: true} {
		c := login(t, start(t, newFakeBroker(), like(p)), "1.2")
		c.send("SUBSCRIBE\nid:1\ndestination:/topic/a\n\n^SUBSCRIBE\nid:1\ndestination:/topic/b\nreceipt:r\n\n^")
		require.Equal(t, "r", c.expectError("The subscription id 1 is in use").get("receipt-id"))
		if closes {
			c.expectClosed()
		} else {
			c.expectAlive()
		}
	}
}

// Who has a name of his own for clients takes no notice of their client-ids; elsewhere they are unique.
func TestClientIDsByPersonality(t *testing.T) {
	for p := range dialects {
		b := newFakeBroker()
		c := dial(t, start(t, b, like(Personality(p))))
		c.send("CONNECT\nclient-id:mine\n\n^")
		require.Equal(t, "mine", c.expect("CONNECTED").get("session"))
		want := "mine"
		if dialects[p].sharedNames {
			want = ""
		}
		require.Equal(t, want, b.logins[0].ClientID)
	}
}

// RabbitMQ needs no id in any version: the subscription is known by its destination, and its deliveries by their own ids.
func TestSubscriptionsWithoutIDsOfRabbitMQ(t *testing.T) {
	s := start(t, newFakeBroker(), like(RabbitMQ))
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		c := login(t, s, version)
		c.send("SUBSCRIBE\ndestination:/queue/" + version + "\nack:client\nreceipt:there\n\n^")
		c.expectReceipt("there")
		c.send("SEND\ndestination:/queue/" + version + "\n\nx^")
		m := c.expect("MESSAGE")
		require.Empty(t, m.get("subscription"))
		id := "message-id:" + m.get("message-id")
		if version == "1.2" {
			id = "id:" + m.get("ack")
		}
		c.send("ACK\n" + id + "\nreceipt:acked\n\n^")
		c.expectReceipt("acked")
		c.send("UNSUBSCRIBE\ndestination:/queue/" + version + "\nreceipt:gone\n\n^")
		c.expectReceipt("gone")
	}
	c := login(t, start(t, newFakeBroker()), "1.1")
	c.send("SUBSCRIBE\ndestination:/queue/a\n\n^")
	require.Equal(t, "SUBSCRIBE received without a subscription id!", c.expect("ERROR").body)
}
