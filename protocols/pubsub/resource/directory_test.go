package resource_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// open opens a directory on a disk's facts.
func open(t testing.TB, d *gatewaytest.Disk, shared bool) (*resource.Directory, *gatewaytest.Registry) {
	r := d.Registry()
	vault, err := resource.NewVault(bytes.Repeat([]byte{1}, resource.MinKey))
	require.NoError(t, err)
	directory, err := resource.Open(t.Context(), resource.Config{Facts: r, Vault: vault, Shared: shared})
	require.NoError(t, err)
	return directory, r
}

func kind(err error) gateway.ErrorKind { return gateway.KindOf(err) }

func n(s string) resource.Name {
	project, name, _ := strings.Cut(s, ".")
	return resource.Name{Project: project, Name: name}
}

func project(t testing.TB, d *resource.Directory, name string) *resource.Project {
	p, err := d.CreateProject(t.Context(), name, "about "+name, "")
	require.NoError(t, err)
	return p
}

func topic(t testing.TB, d *resource.Directory, name string) *resource.Topic {
	made, err := d.CreateTopic(t.Context(), resource.Topic{Name: n(name), Retention: 1000}, "")
	require.NoError(t, err)
	return made
}

func subscription(t testing.TB, d *resource.Directory, name string, of *resource.Topic, start uint64) *resource.Subscription {
	s, err := d.CreateSubscription(t.Context(), resource.Subscription{Name: n(name), Topic: of.Name.Name, Log: of.ID, Start: start, Deadline: 10}, "")
	require.NoError(t, err)
	return s
}

func user(t testing.TB, d *resource.Directory, name string, in ...*resource.Project) (*resource.User, string) {
	u := resource.User{Name: name, Email: name + "@x"}
	for _, p := range in {
		u.Projects = append(u.Projects, resource.Membership{Project: p.ID, Roles: []string{"publisher"}})
	}
	made, token, err := d.CreateUser(t.Context(), u, "")
	require.NoError(t, err)
	return made, token
}

func TestProjectsAreKept(t *testing.T) {
	disk := gatewaytest.NewDisk(1)
	d, _ := open(t, disk, false)
	ctx := t.Context()
	made := project(t, d, "P")
	_, err := d.CreateProject(ctx, "P", "", "")
	require.Equal(t, gateway.Conflict, kind(err))
	_, err = d.ChangeProject(ctx, "Q", "x")
	require.Equal(t, gateway.NotFound, kind(err))
	changed, err := d.ChangeProject(ctx, "P", "new")
	require.NoError(t, err)
	require.Equal(t, []string{"new", made.ID}, []string{changed.Description, changed.ID})
	topic(t, d, "P.t")
	subscription(t, d, "P.s", d.Topic(ctx, n("P.t")), 3)

	again, _ := open(t, disk, false)
	p := again.Project(ctx, "P")
	require.Equal(t, []any{"P", "new", made.ID, made.Created}, []any{p.Name, p.Description, p.ID, p.Created})
	require.Len(t, again.TopicsOf("P"), 1)
	require.Equal(t, int64(1000), again.TopicsOf("P")[0].Retention)
	require.Equal(t, uint64(3), again.SubscriptionsOf("P")[0].Start)
	require.NoError(t, again.DeleteProject(ctx, "P"))
	require.Nil(t, d.Project(ctx, "P"), "who watches knows")
	require.Empty(t, d.TopicsOf("P"))
	require.Empty(t, d.SubscriptionsOf("P"))
	require.Equal(t, gateway.NotFound, kind(again.DeleteProject(ctx, "P")))
}

func TestUsersAreKept(t *testing.T) {
	disk := gatewaytest.NewDisk(1)
	d, _ := open(t, disk, false)
	ctx := t.Context()
	p := project(t, d, "P")
	u, token := user(t, d, "ann", p)
	_, _, err := d.CreateUser(ctx, resource.User{Name: "ann"}, "")
	require.Equal(t, gateway.Conflict, kind(err))
	bob, bobs := user(t, d, "bob")
	require.NotEqual(t, token, bobs)

	d, _ = open(t, disk, false)
	require.Equal(t, "ann", d.UserByToken(ctx, token).Name)
	require.Equal(t, token, d.TokenOf(d.User(ctx, "ann")))
	require.Equal(t, "bob", d.UserByID(ctx, bob.ID).Name)
	require.Nil(t, d.UserByToken(ctx, "no such token"))
	require.Equal(t, []string{"publisher"}, d.User(ctx, "ann").Roles(p))
	require.False(t, d.User(ctx, "bob").Member(p))

	_, second, err := d.RefreshToken(ctx, "ann")
	require.NoError(t, err)
	require.Nil(t, d.UserByToken(ctx, token), "the old one is nobody's")
	require.Equal(t, "ann", d.UserByToken(ctx, second).Name)
	_, _, err = d.RefreshToken(ctx, "nobody")
	require.Equal(t, gateway.NotFound, kind(err))
	require.NoError(t, d.DeleteUser(ctx, "ann"))
	require.Nil(t, d.UserByToken(ctx, second))
	require.Nil(t, d.UserByID(ctx, u.ID))
	require.Equal(t, gateway.NotFound, kind(d.DeleteUser(ctx, "ann")))
}

// facts are those of a registry.
func facts(t testing.TB, r *gatewaytest.Registry) map[string]string {
	all := map[string]string{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.NoError(t, r.Watch(ctx, func(key string, value []byte, _ uint64) { all[key] = string(value) }))
	return all
}

func TestNoTokenIsStored(t *testing.T) {
	d, r := open(t, gatewaytest.NewDisk(1), false)
	ann, token := user(t, d, "ann")
	for key, value := range facts(t, r) {
		require.NotContains(t, value, token, key)
	}
	other, err := resource.NewVault(bytes.Repeat([]byte{2}, resource.MinKey))
	require.NoError(t, err)
	for _, vault := range []*resource.Vault{nil, other} {
		d, err := resource.Open(t.Context(), resource.Config{Facts: r, Vault: vault})
		require.NoError(t, err)
		require.Empty(t, d.TokenOf(d.User(t.Context(), "ann")), "nobody without the key reads it")
		require.Equal(t, ann.ID, d.UserByToken(t.Context(), token).ID, "and it is recognised all the same")
	}
	_, err = resource.NewVault(make([]byte, resource.MinKey-1))
	require.Error(t, err)
}

// A user gets another name in two steps. Who dies between them leaves one user, by the new name, and the old name can be had.
func TestAUserGetsAnotherName(t *testing.T) {
	d, r := open(t, gatewaytest.NewDisk(1), false)
	ctx := t.Context()
	_, token := user(t, d, "ann")
	user(t, d, "bob")
	left := facts(t, r)["pubsub/user/ann"]
	rename := func(from, to string) error {
		_, err := d.ChangeUser(ctx, from, func(u *resource.User) error { u.Name = to; return nil })
		return err
	}
	require.Equal(t, gateway.Conflict, kind(rename("ann", "bob")))
	require.NoError(t, rename("ann", "eve"))
	require.Nil(t, d.User(ctx, "ann"))
	require.Equal(t, "eve", d.UserByToken(ctx, token).Name)
	require.NotContains(t, facts(t, r), "pubsub/user/ann")

	later := facts(t, r)["pubsub/user/eve"]
	for _, fact := range [][2]string{{"ann", left}, {"eve", later}} { // as if the second step had not been
		_, err := r.Put(ctx, "pubsub/user/"+fact[0], []byte(fact[1]))
		require.NoError(t, err)
	}
	d, _ = resource.Open(ctx, resource.Config{Facts: r})
	require.Nil(t, d.User(ctx, "ann"))
	require.Len(t, d.Users(), 2)
	require.Equal(t, "eve", d.UserByToken(ctx, token).Name)
	ann, anns := user(t, d, "ann")
	require.Equal(t, ann.ID, d.UserByToken(ctx, anns).ID)
	require.Equal(t, "eve", d.UserByToken(ctx, token).Name)
	_, err := d.ChangeUser(ctx, "eve", func(*resource.User) error { return errors.New("no") })
	require.EqualError(t, err, "no")
}

// A user who is deleted stays so, also if a change of name was never finished.
func TestAUserWithAFormerNameIsDeleted(t *testing.T) {
	d, r := open(t, gatewaytest.NewDisk(1), false)
	ctx := t.Context()
	_, token := user(t, d, "ann")
	left := facts(t, r)["pubsub/user/ann"]
	_, err := d.ChangeUser(ctx, "ann", func(u *resource.User) error { u.Name = "eve"; return nil })
	require.NoError(t, err)
	later := facts(t, r)["pubsub/user/eve"]
	for _, fact := range [][2]string{{"ann", left}, {"eve", later}} { // as if the second step had not been
		_, err := r.Put(ctx, "pubsub/user/"+fact[0], []byte(fact[1]))
		require.NoError(t, err)
	}
	unproven := gateway.Principal{Name: "pubsub/ann", Method: "pubsub"}
	_, found, err := d.Renew(unproven)
	require.True(t, found)
	require.Equal(t, gateway.Unauthenticated, kind(err), "nobody has that name")
	require.NoError(t, d.DeleteUser(ctx, "eve"))
	d, err = resource.Open(ctx, resource.Config{Facts: r})
	require.NoError(t, err)
	require.Empty(t, d.Users())
	require.Nil(t, d.UserByToken(ctx, token))
}

func TestACLsNameUsers(t *testing.T) {
	d, _ := open(t, gatewaytest.NewDisk(1), false)
	ctx := t.Context()
	p := project(t, d, "P")
	ann, _ := user(t, d, "ann", p)
	bob, _ := user(t, d, "bob", p)
	one, two := topic(t, d, "P.one"), topic(t, d, "P.two")
	subscription(t, d, "P.s", one, 0)
	for _, name := range []resource.Name{two.Name, one.Name} {
		require.NoError(t, d.ChangeTopic(ctx, name, func(t *resource.Topic) { t.ACL = []string{ann.ID, bob.ID} }))
	}
	require.NoError(t, d.ChangeSubscription(ctx, n("P.s"), func(s *resource.Subscription) { s.ACL = []string{ann.ID} }))
	require.Equal(t, gateway.NotFound, kind(d.ChangeTopic(ctx, n("P.three"), func(*resource.Topic) {})))
	require.Equal(t, gateway.NotFound, kind(d.ChangeSubscription(ctx, n("P.z"), func(*resource.Subscription) {})))
	require.Equal(t, resource.Entry{Topics: []string{"one", "two"}, Subscriptions: []string{"s"}}, d.Entries().Of(ann, "P"))
	require.Equal(t, resource.Entry{Topics: []string{"one", "two"}}, d.Entries().Of(bob, "P"))
	require.Equal(t, resource.Entry{}, d.Entries().Of(bob, "Q"))
	require.NoError(t, d.DeleteUser(ctx, "bob"))
	require.Equal(t, []string{"ann"}, d.NamesOf(d.Topic(ctx, n("P.one")).ACL), "who is gone is nobody")
	require.True(t, resource.May(d.Topic(ctx, n("P.one")).ACL, ann))
	require.False(t, resource.May(nil, ann))
	require.False(t, resource.May([]string{""}, nil))
}

func TestCursors(t *testing.T) {
	disk := gatewaytest.NewDisk(1)
	d, r := open(t, disk, false)
	ctx := t.Context()
	project(t, d, "P")
	log := topic(t, d, "P.t")
	s := subscription(t, d, "P.s", log, 5)
	require.Equal(t, uint64(5), d.CursorOf(s, log).Offset, "it begins where it was made")
	move := func(d *resource.Directory, to uint64) error {
		return d.MoveCursor(ctx, s, log, func(c *resource.Cursor) (bool, error) { c.Offset = to; return true, nil })
	}
	require.NoError(t, move(d, 7))
	again, _ := open(t, disk, false)
	require.Equal(t, uint64(7), again.CursorOf(s, log).Offset)
	before := facts(t, r)
	require.NoError(t, d.MoveCursor(ctx, s, log, func(c *resource.Cursor) (bool, error) { c.Offset = 99; return false, nil }))
	require.Error(t, d.MoveCursor(ctx, s, log, func(*resource.Cursor) (bool, error) { return true, errors.New("no") }))
	require.Equal(t, before, facts(t, r), "nothing was written")

	require.NoError(t, d.DeleteTopic(ctx, log.Name))
	_, err := d.CreateSubscription(ctx, resource.Subscription{Name: n("P.z"), Topic: "t", Log: log.ID}, "")
	require.Equal(t, gateway.NotFound, kind(err))
	other := topic(t, d, "P.t")
	require.NotEqual(t, log.ID, other.ID)
	require.Equal(t, uint64(0), d.CursorOf(s, other).Offset, "another log is read from its front")
	require.NoError(t, d.MoveCursor(ctx, s, other, func(c *resource.Cursor) (bool, error) { c.Offset = 2; return true, nil }))
	require.Equal(t, uint64(2), d.CursorOf(s, other).Offset)
	require.NoError(t, d.DeleteSubscription(ctx, s.Name))
	require.NotContains(t, facts(t, r), "pubsub/cursor/P.s")
	made := subscription(t, d, "P.s", other, 1)
	require.Equal(t, uint64(1), d.CursorOf(made, other).Offset)

	_, err = r.Put(ctx, "pubsub/cursor/P.s", []byte(before["pubsub/cursor/P.s"])) // one that a crash left behind
	require.NoError(t, err)
	require.Equal(t, uint64(1), d.CursorOf(made, other).Offset, "of another subscription: nobody's")
	require.NoError(t, d.MoveCursor(ctx, made, other, func(c *resource.Cursor) (bool, error) { c.Offset = 4; return true, nil }))
	require.Equal(t, uint64(4), d.CursorOf(made, other).Offset)
}

// Two nodes change the same things: nothing is lost, and one of two who make the same thing hears of it.
func TestNodesChangeTheSame(t *testing.T) {
	disk := gatewaytest.NewDisk(1)
	a, _ := open(t, disk, true)
	b, registry := open(t, disk, true)
	ctx := t.Context()
	project(t, a, "P")
	log := topic(t, a, "P.t")
	s := subscription(t, a, "P.s", log, 0)
	goOn := registry.Hold() // b hears of nothing
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	_, err := b.CreateTopic(short, resource.Topic{Name: n("P.u")}, "")
	cancel()
	require.Equal(t, gateway.Unavailable, kind(err), "it is not done before it is known here")
	require.NotNil(t, b.Topic(ctx, n("P.u")), "what is not there is looked for")
	goOn()
	var all sync.WaitGroup
	var made [2]error
	for i, d := range []*resource.Directory{a, b} {
		all.Go(func() {
			_, made[i] = d.CreateProject(ctx, "Q", fmt.Sprint(i), "")
			for range 50 {
				if err := d.MoveCursor(ctx, s, log, func(c *resource.Cursor) (bool, error) { c.Offset++; return true, nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, uint64(100), a.CursorOf(s, log).Offset)
	require.Equal(t, uint64(100), b.CursorOf(s, log).Offset)
	require.NotEqual(t, made[0] == nil, made[1] == nil, "%v", made)
	require.Equal(t, a.Project(ctx, "Q").ID, b.Project(ctx, "Q").ID)
}

func TestABrokenRegistry(t *testing.T) {
	d, r := open(t, gatewaytest.NewDisk(1), true)
	project(t, d, "P")
	r.Break(gateway.Errorf(gateway.Unavailable, "no majority"))
	_, err := d.CreateProject(t.Context(), "Q", "", "")
	require.Equal(t, gateway.Unavailable, kind(err))
	require.NotNil(t, d.Project(t.Context(), "P"), "what is known is known")
	r.Break(nil)
	project(t, d, "Q")
	_, err = r.Put(t.Context(), "pubsub/project/R", []byte("{"))
	require.NoError(t, err)
	require.Nil(t, d.Project(t.Context(), "R"), "what cannot be read is left out")
	_, err = r.Put(t.Context(), "log/nodot", []byte(`{"id":"x"}`))
	require.NoError(t, err)
	project(t, d, "S")
}

func TestPages(t *testing.T) {
	type item = *resource.Origin
	origin := func(i item) *resource.Origin { return i }
	all := []item{{ID: "e", Created: 5}, {ID: "d", Created: 4}, {ID: "cc", Created: 3}, {ID: "c", Created: 3}, {ID: "b", Created: 2}}
	var got []string
	token := ""
	for {
		page, next, ok := resource.Page(all, origin, 2, token)
		require.True(t, ok)
		for _, i := range page {
			got = append(got, i.ID)
		}
		if token = next; token == "" {
			break
		}
	}
	require.Equal(t, []string{"e", "d", "cc", "c", "b"}, got)
	_, next, _ := resource.Page(all, origin, 2, "")
	page, _, ok := resource.Page(append(all[:2:2], all[3:]...), origin, 0, next) // what the token names is gone
	require.True(t, ok)
	require.Equal(t, "c", page[0].ID)
	for _, bad := range []string{"zz", "%%%", "%", "MQ", "eC54"} {
		_, _, ok := resource.Page(all, origin, 2, bad)
		require.False(t, ok, bad)
	}
}

func TestObjectsAreStoredUnderTheirNames(t *testing.T) {
	d, r := open(t, gatewaytest.NewDisk(1), false)
	project(t, d, "P")
	log := topic(t, d, "P.t")
	all := facts(t, r)
	var fact gateway.LogFact
	require.NoError(t, json.Unmarshal([]byte(all["log/P.t"]), &fact))
	require.Equal(t, gateway.LogFact{ID: log.ID, Retention: 1000}, fact, "what the store reads of it")
	require.NotContains(t, all["log/P.t"], `"Name"`)
	require.WithinDuration(t, time.Now(), d.Project(t.Context(), "P").CreatedAt(), time.Minute)
}

// Whoever logs in at another door with a password has it looked at here as well, and nobody is asked about it.
func TestWhatIsNoTokenIsNotLookedFor(t *testing.T) {
	registry := &asked{Registry: gatewaytest.NewDisk(1).Registry()}
	d, err := resource.Open(t.Context(), resource.Config{Facts: registry, Shared: true})
	require.NoError(t, err)
	for _, password := range []string{"geheim", strings.Repeat("x", 64), strings.Repeat("0", 63), ""} {
		_, found, err := d.VerifyToken(t.Context(), password)
		require.NoError(t, err)
		require.False(t, found)
	}
	require.Zero(t, registry.caught.Load())
	require.Nil(t, d.UserByToken(t.Context(), strings.Repeat("0", 64)))
	require.EqualValues(t, 1, registry.caught.Load())
}

// Strangers ask for what nobody has ever made. Nobody reads all facts for them, of which there may be very many.
func TestStrangersHaveNobodyReadEverything(t *testing.T) {
	registry := &asked{Registry: gatewaytest.NewDisk(1).Registry()}
	d, err := resource.Open(t.Context(), resource.Config{Facts: registry, Shared: true})
	require.NoError(t, err)
	for i := range 3 {
		require.Nil(t, d.Project(t.Context(), fmt.Sprint("none", i)))
		require.Nil(t, d.UserByToken(t.Context(), strings.Repeat(fmt.Sprint(i), 64)))
	}
	require.EqualValues(t, 6, registry.caught.Load())
	require.EqualValues(t, 1, registry.watched.Load(), "when it was opened")
}

// asked counts how often a registry is asked for everything, and how often for what is missing.
type asked struct {
	*gatewaytest.Registry
	watched, caught atomic.Int64
}

func (a *asked) CatchUp(ctx context.Context) error {
	a.caught.Add(1)
	return a.Registry.CatchUp(ctx)
}

func (a *asked) Watch(ctx context.Context, fn func(key string, value []byte, revision uint64)) error {
	a.watched.Add(1)
	return a.Registry.Watch(ctx, fn)
}

// absent is a registry that cannot be read any more.
type absent struct {
	*gatewaytest.Registry
	away atomic.Bool
	came chan struct{}
}

func (a *absent) CatchUp(ctx context.Context) error {
	if a.away.Load() {
		a.came <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	return a.Registry.CatchUp(ctx)
}

// Who looks for something while the store is away waits as long as he likes, and not as long as those who came before.
func TestWhoLooksWaitsForNobody(t *testing.T) {
	registry := &absent{Registry: gatewaytest.NewDisk(1).Registry(), came: make(chan struct{}, 1)}
	d, err := resource.Open(t.Context(), resource.Config{Facts: registry, Shared: true})
	require.NoError(t, err)
	registry.away.Store(true)
	patient, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- d.Look(patient) }()
	<-registry.came
	hasty, enough := context.WithTimeout(t.Context(), time.Millisecond)
	defer enough()
	looked := make(chan *resource.Project, 1)
	go func() { looked <- d.Project(hasty, "P") }()
	select {
	case p := <-looked:
		require.Nil(t, p)
	case <-time.After(10 * time.Second):
		cancel()
		t.Fatal("it waits for another one")
	}
	cancel()
	require.Error(t, <-gone)
}

// What another node has made a moment ago is found, though nobody has told of it; many who look at once look once.
func TestWhatIsNotThereIsLookedFor(t *testing.T) {
	disk := gatewaytest.NewDisk(1)
	a, _ := open(t, disk, true)
	b, registry := open(t, disk, true)
	alone, held := open(t, disk, false)
	goOn, goOnToo := registry.Hold(), held.Hold()
	defer goOn()
	defer goOnToo()
	project(t, a, "P")
	_, token := user(t, a, "ann")
	require.Equal(t, "ann", b.UserByToken(t.Context(), token).Name)
	require.NotNil(t, b.Project(t.Context(), "P"))
	require.Nil(t, alone.Project(t.Context(), "P"), "a node that is alone has nobody to ask")
	var all sync.WaitGroup
	began := time.Now()
	for range 100 {
		all.Go(func() {
			if b.Project(t.Context(), "none") != nil {
				t.Error("there is no such project")
			}
		})
	}
	all.Wait()
	require.Less(t, time.Since(began), 4*time.Second, "not one after another")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Nil(t, b.Project(ctx, "none"))
}
