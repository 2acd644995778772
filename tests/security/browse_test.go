package security

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who looks into a queue needs the right to manage it and that to the operation, and stands in the audit with what was asked for; a body is never there.
func TestLookingIntoAQueueIsGuardedAndAudited(t *testing.T) {
	p := newPlace(t)
	p.run(t, strings.NewReplacer(`"/admin/tap", "/admin/connections"`, `"/admin/queue-browse", "/admin/connections"`, `on: ["/admin/tap"]`, `on: ["/admin/queue-browse"]`, `"/admin/disconnect"`, `"/admin/queue-list"`).Replace(watched))
	v, told := login(t, p.open(t, 0, false, "", shown{}), shown{login: "alice", passcode: "alice-secret"}, false)
	require.Empty(t, told)
	alice := v.(*stomper)
	for _, to := range []string{"/queue/private", "/queue/orders.1"} {
		alice.c.Send("SEND", "the body of "+to, "destination:"+to, "persistent:true", "receipt:r")
		alice.want(t, "RECEIPT")
	}
	require.Contains(t, p.sluice(t, "queue", "browse", "/queue/private", "--body", "--config", "sluice.yaml"), `"the body of /queue/private"`, "at the machine everything may be seen")
	code, text := p.operator(t, "boss").ask(t, "queue-browse?destination=/queue/orders.1&json&bodies")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, text, `"body":"the body of /queue/orders.1"`)
	_, text = p.operator(t, "boss").ask(t, "queue-browse?destination=/queue/private&json&bodies")
	require.Empty(t, text)
	_, text = p.operator(t, "clerk").ask(t, "queue-browse?destination=/queue/orders.1")
	require.Empty(t, text)
	_, text = p.operator(t, "boss").ask(t, "queue-list")
	require.Contains(t, text, "/queue/orders.1")
	require.NotContains(t, text, "private", "a list shows what may be managed, and nothing else")
	code, text = p.operator(t, "alice").ask(t, "queue-browse?destination=/queue/orders.1")
	require.Equal(t, http.StatusForbidden, code)
	require.Equal(t, "User alice is not authorized to manage: /admin/queue-browse", text)
	eventually(t, func() bool {
		boss, clerk := false, false
		for _, l := range p.audit(t) {
			boss = boss || l.Event == "admin" && l.User == "boss" && l.Operation == `queue-browse bodies="" destination="/queue/orders.1" json=""`
			clerk = clerk || l.Event == "admin" && l.User == "clerk" && strings.Contains(l.Error, "not authorized to manage: queue://orders.1")
		}
		return boss && clerk
	}, "who looked is in the audit")
	require.NotContains(t, p.read(t, "audit.log"), "the body of")
}
