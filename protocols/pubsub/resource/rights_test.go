package resource_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// tokens is what the chain of authenticators asks.
type tokens interface {
	VerifyToken(ctx context.Context, token string) (p gateway.Principal, found bool, err error)
	Renew(p gateway.Principal) (now gateway.Principal, found bool, err error)
}

var _ interface {
	tokens
	gateway.Authorizer
} = (*resource.Directory)(nil)

func TestTokensOpenEveryDoor(t *testing.T) {
	registry := gatewaytest.NewDisk(1).Registry()
	d, err := resource.Open(t.Context(), resource.Config{Facts: registry, ServiceToken: "service"})
	require.NoError(t, err)
	ctx := t.Context()
	_, token := user(t, d, "ann")
	ann, found, err := d.VerifyToken(ctx, token)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, []string{"pubsub/ann", "pubsub"}, []string{ann.Name, ann.Method})
	require.NotContains(t, ann.Proof, token)
	now, found, err := d.Renew(ann)
	require.NoError(t, err)
	require.Equal(t, []any{true, ann}, []any{found, now})
	unproven := ann // as the connections of a native client have it, which share a session
	unproven.Proof = ""
	now, found, err = d.Renew(unproven)
	require.NoError(t, err)
	require.Equal(t, []any{true, unproven}, []any{found, now}, "without a proof the name counts")
	_, _, err = d.RefreshToken(ctx, "ann")
	require.NoError(t, err)
	_, found, err = d.Renew(ann)
	require.True(t, found)
	require.Equal(t, gateway.Unauthenticated, kind(err))
	for _, stranger := range []string{token, "", "ann", resource.SumOf(token)} {
		_, found, err := d.VerifyToken(ctx, stranger)
		require.NoError(t, err)
		require.False(t, found, stranger)
	}
	_, found, _ = d.Renew(gateway.Principal{Name: "ann", Method: "token", Proof: ann.Proof})
	require.False(t, found, "others are others' business")
	service, found, err := d.VerifyToken(ctx, "service")
	require.NoError(t, err)
	require.True(t, found)
	_, found, err = d.Renew(service)
	require.NoError(t, err)
	require.True(t, found)
	unproven = service
	unproven.Proof = ""
	_, found, err = d.Renew(unproven)
	require.NoError(t, err)
	require.True(t, found)
	require.NoError(t, d.Rights(unproven).May(gateway.Write, gateway.Destination{Kind: gateway.KindTopic, Name: "P.t"}))
	require.NoError(t, d.Rights(service).May(gateway.Write, gateway.Destination{Kind: gateway.KindTopic, Name: "P.t"}))
	require.Error(t, d.Rights(service).May(gateway.Write, gateway.Destination{Kind: gateway.KindQueue, Name: "q"}), "projects are all that it has")
	other, err := resource.Open(ctx, resource.Config{Facts: registry})
	require.NoError(t, err)
	_, found, _ = other.VerifyToken(ctx, "")
	require.False(t, found, "no service token is not an empty one")
}

func TestRights(t *testing.T) {
	d, _ := open(t, gatewaytest.NewDisk(1), false)
	ctx := t.Context()
	p := project(t, d, "P")
	q := project(t, d, "Q")
	one, two := topic(t, d, "P.one"), topic(t, d, "P.two")
	topic(t, d, "Q.one")
	subscription(t, d, "P.s", one, 0)
	subscription(t, d, "P.z", two, 0)
	make := func(name string, of *resource.Project, roles ...string) gateway.Rights {
		u, token, err := d.CreateUser(ctx, resource.User{Name: name, Projects: []resource.Membership{{Project: of.ID, Roles: roles}}}, "")
		require.NoError(t, err)
		require.NoError(t, d.ChangeTopic(ctx, one.Name, func(t *resource.Topic) { t.ACL = append(t.ACL, u.ID) }))
		require.NoError(t, d.ChangeSubscription(ctx, n("P.s"), func(s *resource.Subscription) { s.ACL = append(s.ACL, u.ID) }))
		who, _, err := d.VerifyToken(ctx, token)
		require.NoError(t, err)
		return d.Rights(who)
	}
	all := map[string]gateway.Rights{
		"pub": make("pub", p, "publisher"), "con": make("con", p, "consumer"), "admin": make("admin", p, "project_admin"), "none": make("none", p),
		"lord": make("lord", p, "service_admin"), "any": make("any", p, "_admin_"), "far": make("far", q, "publisher", "consumer", "project_admin"), "stranger": d.Rights(gateway.Principal{Name: "pubsub/pub", Method: "password"}),
	}
	const read, write, create, manage = gateway.Read, gateway.Write, gateway.Create, gateway.Manage
	for _, c := range []struct {
		a    gateway.Action
		kind gateway.Kind
		name string
		who  string // of pub, con, admin, far; those who administer P by another role may what admin may
	}{
		{write, gateway.KindTopic, "P.one", "pub admin"}, {read, gateway.KindTopic, "P.one", "con admin"}, {create, gateway.KindTopic, "P.one", "pub con admin"},
		{manage, gateway.KindTopic, "P.one", "admin"}, {write, gateway.KindTopic, "P.two", "admin"}, {read, gateway.KindTopic, "P.two", "admin"},
		{write, gateway.KindTopic, "Q.one", "far"}, {write, gateway.KindTopic, "P", ""}, {write, gateway.KindTopic, "P.one.x", ""}, {write, gateway.KindTopic, "x", ""},
		{write, gateway.KindQueue, "P.one", ""}, {read, gateway.KindSubscription, "P:s", "con admin"}, {write, gateway.KindSubscription, "P:s", "admin"},
		{read, gateway.KindSubscription, "P:z", "admin"}, {read, gateway.KindTempTopic, "P.one", ""},
		{read, gateway.KindTopic, "P.*", "con admin"}, {write, gateway.KindTopic, "P.>", "pub admin"}, {read, gateway.KindTopic, "*.one", "con admin far"},
		{read, gateway.KindTopic, ">", "con admin far"}, {read, gateway.KindTopic, "P.*.x", ""}, {write, gateway.KindTopic, "R.*", ""},
	} {
		dest := gateway.Destination{Kind: c.kind, Name: c.name}
		for name, r := range all {
			may := r.May(c.a, dest)
			as := name
			if name == "lord" || name == "any" {
				as = "admin"
			}
			require.Equal(t, slices.Contains(strings.Fields(c.who), as), may == nil, "%s %s %s: %v", name, c.a, dest, may)
			if may != nil {
				require.Equal(t, gateway.Denied, kind(may))
				require.False(t, r.All(c.a, dest))
			} else if !dest.IsPattern() {
				require.True(t, r.All(c.a, dest))
			}
		}
	}
	require.True(t, all["admin"].All(read, gateway.Destination{Kind: gateway.KindTopic, Name: "P.*"}))
	require.False(t, all["admin"].All(read, gateway.Destination{Kind: gateway.KindTopic, Name: "P.>"}), "that is more than its topics")
	require.False(t, all["con"].All(read, gateway.Destination{Kind: gateway.KindTopic, Name: "P.*"}))
	require.Error(t, all["admin"].Operate("drain"))
}

// Who may use every route of the API may publish by it, too.
func TestRightsOfTheAlmighty(t *testing.T) {
	d, _ := open(t, gatewaytest.NewDisk(1), false)
	project(t, d, "P")
	topic(t, d, "P.t")
	for _, role := range []string{"service_admin", "_admin_"} {
		_, token, err := d.CreateUser(t.Context(), resource.User{Name: "u" + role, ServiceRoles: []string{role}}, "")
		require.NoError(t, err)
		who, _, err := d.VerifyToken(t.Context(), token)
		require.NoError(t, err)
		require.NoError(t, d.Rights(who).May(gateway.Write, gateway.Destination{Kind: gateway.KindTopic, Name: "P.t"}), role)
	}
}

// Another service token counts at once, and with it another secret that tokens are made of: what was lent before opens nothing, what users have themselves goes on.
func TestAnotherServiceTokenIsTrusted(t *testing.T) {
	d, err := resource.Open(t.Context(), resource.Config{Facts: gatewaytest.NewDisk(1).Registry(), ServiceToken: "service", Loan: "service"})
	require.NoError(t, err)
	ann, own := user(t, d, "ann")
	known := func(token string) bool {
		_, found, err := d.VerifyToken(t.Context(), token)
		require.NoError(t, err)
		return found
	}
	lent := d.TokenFor(ann)
	borrower, _, err := d.VerifyToken(t.Context(), lent)
	require.NoError(t, err)
	service, found, err := d.VerifyToken(t.Context(), "service")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, []bool{true, true, false}, []bool{known(lent), known(own), known("another")})
	d.Trust("another", "another")
	require.Equal(t, []bool{false, true, true, false}, []bool{known(lent), known(own), known("another"), known("service")})
	_, found, err = d.Renew(service)
	require.True(t, found)
	require.Equal(t, gateway.Unauthenticated, kind(err), "who came by the old one goes")
	_, found, err = d.Renew(borrower)
	require.True(t, found)
	require.Equal(t, gateway.Unauthenticated, kind(err), "and who came by what was lent")
	again := d.TokenFor(ann)
	require.NotEqual(t, lent, again)
	require.True(t, known(again))
	d.Trust("", "")
	require.Equal(t, []bool{false, true, false}, []bool{known(again), known(own), known("another")})
}
