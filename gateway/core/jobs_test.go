package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/manage"
	"github.com/sluice-mq/sluice/gateway/schedule"
)

// manage sends a request to ActiveMQ's scheduler.
func (w *world) manage(s gateway.Session, action string, header ...string) error {
	return w.put(s, scheduled(topic(schedule.Management), "", false, append([]string{"AMQ_SCHEDULER_ACTION", action}, header...)...))
}

// jobs are the bodies of what a session sees of what waits, and their ids.
func (w *world) jobs(s gateway.Session, header ...string) (ids map[string]string) {
	w.Helper()
	c := w.subscribe(s, temp(s, "jobs"), 1000, true)
	defer c.Close()
	require.NoError(w, w.manage(s, "BROWSE", append(header, "reply-to", "/remote-temp-queue/"+s.ID()+":jobs")...))
	require.NoError(w, w.put(s, scheduled(temp(s, "jobs"), "end", false)))
	ids = map[string]string{}
	for {
		for _, d := range c.next(1) {
			if string(d.Message.Body) == "end" {
				return ids
			}
			kind, _ := d.Message.Header.Get("type")
			require.Equal(w, "Advisory", kind)
			id, has := d.Message.Header.Get("scheduledJobId")
			require.True(w, has)
			ids[string(d.Message.Body)] = id
			for _, f := range d.Message.Header {
				require.NotContains(w, f.Name, "sluice-")
			}
		}
	}
}

func keys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func in(at *wallClock, d time.Duration) string {
	return strconv.FormatInt(at.now().Add(d).UnixMilli(), 10)
}

// What waits for its time is listed and removed by its id or by its time, from any node, also after restarts; what is removed never comes.
func TestWhatIsScheduledIsListedAndRemoved(t *testing.T) {
	t.Parallel()
	at := newWallClock()
	w := newWorld(t, func(c *core.Config) { c.Now = at.now })
	s := w.session()
	for body, delay := range map[string]string{"a": "60000", "b": "120000", "c": "180000", "d": "240000"} {
		require.NoError(t, w.put(s, scheduled(queue("q"), body, body != "d", "AMQ_SCHEDULED_DELAY", delay, "foo", "bar", "type", "own")))
	}
	require.NoError(t, w.put(s, scheduled(queue("q"), "again", true, "AMQ_SCHEDULED_DELAY", "1000", "AMQ_SCHEDULED_PERIOD", "300000", "AMQ_SCHEDULED_REPEAT", "-1")))
	c := w.subscribe(s, queue("q"), 10, false)
	at.advance(2 * time.Second)
	c.ack(c.next(1)...)
	gatewaytest.Eventually(t, func() bool { return len(w.jobs(s, "ACTION_START_TIME", in(at, time.Minute))) == 4 }, "the one that comes again counts by its next time")
	require.Equal(t, []string{"a", "again", "b", "c", "d"}, keys(w.jobs(s)))
	require.Equal(t, []string{"b", "c"}, keys(w.jobs(s, "ACTION_START_TIME", in(at, 100*time.Second), "ACTION_END_TIME", in(at, 200*time.Second))))
	require.Equal(t, []string{"a"}, keys(w.jobs(s, "ACTION_END_TIME", in(at, time.Minute))))
	w.restart()
	s = w.session()
	c = w.subscribe(s, queue("q"), 10, false)
	ids := w.jobs(s)
	require.Equal(t, []string{"a", "again", "b", "c", "d"}, keys(ids))
	require.Equal(t, []string{"again", "d"}, keys(w.jobs(s, "ACTION_START_TIME", in(at, 200*time.Second))), "also after a restart")
	require.NoError(t, w.manage(s, "REMOVE", "scheduledJobId", ids["b"]))
	require.NoError(t, w.manage(s, "REMOVE", "scheduledJobId", ids["b"]), "as in ActiveMQ")
	require.NoError(t, w.manage(s, "REMOVEALL", "ACTION_START_TIME", in(at, 200*time.Second), "ACTION_END_TIME", in(at, 239*time.Second)))
	require.NoError(t, w.manage(s, "NONSENSE"))
	require.Equal(t, []string{"a", "again", "c"}, keys(w.jobs(s)))
	w.crash()
	s = w.session()
	c = w.subscribe(s, queue("q"), 10, false)
	require.Equal(t, []string{"a", "again", "c"}, keys(w.jobs(s)), "what was removed stays so")
	at.advance(time.Hour)
	require.Equal(t, []string{"a", "again", "c"}, sorted(c.next(3)))
	gatewaytest.Eventually(t, func() bool { return len(w.jobs(s)) == 1 }, "what has been sent is not there")
	require.NoError(t, w.manage(s, "REMOVEALL"))
	require.Empty(t, w.jobs(s))
	at.advance(time.Hour)
	c.idle()
	for _, bad := range [][]string{{"REMOVE"}, {"BROWSE", "ACTION_START_TIME", "soon"}} {
		require.Equal(t, gateway.Invalid, gateway.KindOf(w.manage(s, bad[0], bad[1:]...)))
	}
	var o outcome
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{scheduled(topic(schedule.Management), "", false, "AMQ_SCHEDULER_ACTION", "REMOVEALL")}}, &o, 1)
	require.Equal(t, gateway.Invalid, gateway.KindOf(o.wait(w, 1)[1]))
}

// Who removes a message that is being sent at that moment ends it, however often that happens.
func TestWhatIsBeingSentIsRemovedToo(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	c := w.subscribe(s, queue("q"), 1000, true)
	for i := range 20 {
		require.NoError(t, w.put(s, scheduled(queue("q"), fmt.Sprint(i), i%2 == 0, "AMQ_SCHEDULED_PERIOD", "1", "AMQ_SCHEDULED_REPEAT", "-1")))
	}
	c.next(50)
	gatewaytest.Eventually(t, func() bool {
		removed, err := w.broker.Unschedule(t.Context(), schedule.Always(), func(*manage.Scheduled) bool { return true })
		require.NoError(t, err)
		return removed == 0
	}, "all are removed")
	require.Zero(t, w.broker.Stats().Of.Scheduled)
	gatewaytest.Eventually(t, func() bool { return len(take(c)) == 0 }, "nothing is under way")
	c.idle()
}

// Everybody sees and removes what he sent, and who may manage a destination what goes there; nobody can say that something is his.
func TestWhoMayLookAtWhatIsScheduled(t *testing.T) {
	w, s := newSociety(t, "root * *", "bob write *", "bob create *", "eve write *", "eve create *", "eve manage queue://eves")
	root, _ := w.login("root", "r")
	bob, _ := w.login("bob", "b")
	eve, _ := w.login("eve", "e")
	send := func(s gateway.Session, to, body string) {
		require.NoError(t, w.put(s, scheduled(queue(to), body, true, "AMQ_SCHEDULED_DELAY", "3600000", "sluice-scheduled-by", "eve", "sluice-scheduled-due", "5")))
	}
	send(bob, "q", "bob's")
	send(root, "q", "root's")
	send(eve, "q", "eve's")
	send(bob, "eves", "for eve")
	require.Equal(t, []string{"bob's", "eve's", "for eve", "root's"}, keys(w.jobs(root)))
	require.Equal(t, []string{"bob's", "for eve"}, keys(w.jobs(bob)))
	ids := w.jobs(eve)
	require.Equal(t, []string{"eve's", "for eve"}, keys(ids))
	require.NoError(t, w.manage(eve, "REMOVE", "scheduledJobId", w.jobs(root)["bob's"]))
	require.NoError(t, w.manage(eve, "REMOVEALL"))
	require.Equal(t, []string{"bob's", "root's"}, keys(w.jobs(root)))
	s.allow("bob write topic://ActiveMQ.Scheduler.Management", "bob create *")
	w.broker.Reauthorize()
	require.Equal(t, gateway.Denied, gateway.KindOf(w.manage(bob, "BROWSE", "reply-to", "/queue/q")), "nothing is sent for him where he may not")
}

// It does not matter on which node somebody asks, nor who owns what waits.
func TestWhatIsScheduledInACluster(t *testing.T) {
	t.Parallel()
	at := newWallClock()
	r := newRealm(t, func(c *core.Config) { c.Now = at.now })
	r.Move(0, "n1")
	r.Move(1, "n1")
	for i, w := range r.worlds {
		require.NoError(t, w.put(w.session(), scheduled(queue("q"), fmt.Sprint(i), true, "AMQ_SCHEDULED_DELAY", fmt.Sprint(60000*(i+1)))))
	}
	for i, w := range r.worlds {
		s := w.session()
		ids := w.jobs(s)
		require.Equal(t, numbers(i, 3), keys(ids))
		require.Equal(t, numbers(max(i, 1), 3), keys(w.jobs(s, "ACTION_START_TIME", in(at, 90*time.Second))))
		require.NoError(t, w.manage(s, "REMOVE", "scheduledJobId", ids[fmt.Sprint(i)]))
		owner := []string{"n2", "n3", "n1"}[i]
		r.Move(0, owner)
		r.Move(1, owner)
	}
	require.Empty(t, r.worlds[1].jobs(r.worlds[1].session()))
}
