package stomp

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

const (
	// supportedVersions as the version header of an ERROR lists them.
	supportedVersions = "1.0,1.1,1.2"
	// beatShare is the part of the promised period after which the server beats.
	beatShare = 0.7
	// minBeat is the shortest period in milliseconds that the server promises: no
	// client can make it spin.
	minBeat = 100
	// maxID bounds in bytes the ids that a connection keeps. Client-ids also end up in
	// logs and in others' ERRORs.
	maxID = 1024
	// maxBeat is the longest period that is looked at; longer is for ever.
	maxBeat = 10 * 24 * time.Hour
)

// connect logs the client in.
func (c *conn) connect(ctx context.Context, f *wire.Frame) error {
	if c.session != nil {
		return gateway.Errorf(gateway.Conflict, "Already connected.")
	}
	version, err := negotiate(f.Header, &c.server.dialect.versions)
	if err != nil {
		return err
	}
	theirs, wanted, err := heartBeat(f.Header)
	if err != nil {
		return err
	}
	session, err := c.login(ctx, f.Header, version)
	if err != nil {
		return err
	}
	c.session = session
	c.addresses.own = session.ID() + ":"
	c.replies.Store(c.server.dialect.replySubscribes)
	if c.server.cfg.UserID {
		c.user = session.Principal().Name
	}
	c.pacing, _ = session.(gateway.Paced)
	if t, ok := c.nc.(interface{ LoggedIn() }); ok {
		t.LoggedIn()
	}
	c.codec.SetVersion(version)
	c.codec.SetLimits(wire.AfterLogin(c.server.cfg.Limits.Body))
	c.mu.Lock()
	c.version = version
	c.beat = beatEach(wanted)
	c.mu.Unlock()
	c.in.loggedIn(c.patience(theirs))
	c.answer(answer{more: &more{frame: c.connected(f.Header, version, theirs, wanted)}})
	return nil
}

// login opens the session.
func (c *conn) login(ctx context.Context, h gateway.Header, version wire.Version) (gateway.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, c.server.cfg.Limits.Login)
	defer cancel()
	c.cancelBy(cancel)
	defer c.cancelBy(nil)
	user, _ := h.Get("login")
	passcode, _ := h.Get("passcode")
	clientID, _ := h.Get("client-id")
	if err := bounded("client-id", clientID); err != nil {
		return nil, err
	}
	login := gateway.Login{
		Protocol: "stomp/" + version.String(),
		Remote:   c.remote(),
		Listener: c.listener(),
		Ended:    c.end,
	}
	if c.clientID = clientID; !c.server.dialect.sharedNames {
		login.ClientID = clientID
	}
	c.introduce(&login, h)
	login.Credentials.Login, login.Credentials.Passcode = user, passcode
	session, err := c.server.cfg.Broker.Open(ctx, login)
	if gateway.KindOf(err) == gateway.Unauthenticated && strings.Contains(user+passcode, `\`) {
		// CONNECT is not escaped; some libraries do it all the same.
		login.Credentials.Login, login.Credentials.Passcode = unescape(user), unescape(passcode)
		if again, second := c.server.cfg.Broker.Open(ctx, login); second == nil {
			session, err = again, nil
		}
	}
	if err != nil {
		c.server.cfg.Logger.Debug("stomp: login refused", "remote", login.Remote, "login", quote(user), "error", err)
		if said := &c.server.dialect.login; said.text != "" && gateway.KindOf(err) == gateway.Unauthenticated {
			err = worded(said.message, invalid(said.text, quote(user)))
		}
		return nil, err
	}
	c.server.cfg.Logger.Debug("stomp: logged in", "remote", login.Remote,
		"login", quote(user), "client_id", quote(clientID), "version", version.String())
	return session, nil
}

// cancelBy lets abandon end the login.
func (c *conn) cancelBy(cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel = cancel; c.abandoned && cancel != nil {
		cancel()
	}
}

// bounded refuses an id that is too long to be kept.
func bounded(name, id string) error {
	if len(id) > maxID {
		return gateway.Errorf(gateway.Limit, "%s is %d bytes long, the limit is %d", name, len(id), maxID)
	}
	return nil
}

// connected makes the CONNECTED frame, which no version escapes.
func (c *conn) connected(h gateway.Header, version wire.Version, theirs, wanted int64) []byte {
	clientID, _ := h.Get("client-id")
	b := append([]byte(nil), "CONNECTED\n"...)
	b = wire.AppendFieldRaw(b, "server", c.server.cfg.ServerHeader)
	b = wire.AppendFieldRaw(b, "heart-beat", strconv.FormatInt(wanted, 10)+","+strconv.FormatInt(theirs, 10))
	b = wire.AppendFieldRaw(b, "session", c.sessionID(clientID))
	b = wire.AppendFieldRaw(b, "version", version.String())
	id, ok := h.Get("request-id")
	if !ok {
		id, ok = h.Get("receipt")
	}
	if ok {
		b = wire.AppendFieldRaw(b, "response-id", id)
		b = wire.AppendFieldRaw(b, "receipt-id", id)
	}
	return append(b, '\n', 0, '\n')
}

// negotiate picks the highest version that both sides know; else says why not, in a personality's words if it has some.
func negotiate(h gateway.Header, words *wording) (wire.Version, error) {
	accepted, _ := h.Get("accept-version")
	if strings.TrimSpace(accepted) == "" {
		return wire.V10, nil
	}
	var best wire.Version
	for item := range strings.SplitSeq(accepted, ",") {
		item = strings.TrimSpace(item)
		for _, v := range [...]wire.Version{wire.V10, wire.V11, wire.V12} {
			if item == v.String() {
				best = max(best, v)
			}
		}
	}
	if best == 0 {
		text := "Invalid Protocol version[" + quote(accepted) + "], supported versions are: [1.2, 1.1, 1.0]"
		return 0, &refusal{
			err: invalid("%s", orDefault(words.text, text)), message: words.message, closes: true, header: gateway.Header{{Name: "version", Value: supportedVersions}},
		}
	}
	return best, nil
}

// heartBeat reads what the client promises and wants, in milliseconds.
func heartBeat(h gateway.Header) (theirs, wanted int64, err error) {
	value, ok := h.Get("heart-beat")
	if !ok {
		return 0, 0, nil
	}
	first, second, ok := strings.Cut(value, ",")
	theirs, err1 := strconv.ParseInt(first, 10, 64)
	wanted, err2 := strconv.ParseInt(second, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, invalid("Invalid heart-beat header:%s", quote(value))
	}
	if wanted > 0 {
		wanted = max(wanted, minBeat)
	}
	return max(theirs, 0), max(wanted, 0), nil
}

// beatEach is the longest silence towards a client to which a beat each ms was
// promised; 0 is for ever.
func beatEach(ms int64) time.Duration { return time.Duration(float64(period(ms)) * beatShare) }

// period turns milliseconds of a heart-beat into a duration; 0 is for ever.
func period(ms int64) time.Duration {
	if ms <= 0 || ms > maxBeat.Milliseconds() {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// patience is how long a client that promised a beat each ms may be silent; 0 is for ever.
func (c *conn) patience(ms int64) time.Duration {
	p := period(ms)
	if p == 0 {
		return 0
	}
	return time.Duration(float64(p)*c.server.cfg.HeartBeatGrace) + time.Second
}

// unescape decodes the escapes of STOMP 1.2 and keeps what is none.
func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\c`, ":", `\r`, "\r").Replace(s)
}
