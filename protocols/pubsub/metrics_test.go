package pubsub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// figures are what metrics say: "metric of resource: values".
func (w *world) figures(path, key string) (all []string) {
	w.t.Helper()
	var m wire.Metrics
	w.must("GET", path+":metrics", key, nil, &m)
	for _, one := range m.Metrics {
		require.NotEmpty(w.t, one.Description)
		require.NotEmpty(w.t, one.Type+one.ValueType+one.ResourceType)
		line := one.Metric + " of " + one.Resource + ":"
		for _, p := range one.Series {
			if len(p.At) == len(time.DateOnly) {
				line += " " + p.At
			}
			line += fmt.Sprintf(" %v", p.Value)
		}
		all = append(all, line)
	}
	return all
}

// TestMetrics lets days pass: what each of them brought is counted from the log, and what a subscription took is kept with its cursor.
func TestMetrics(t *testing.T) {
	w := stocked(t, 3, nil) // on the 20th
	w.must("PUT", "/projects/P/topics/idle", serviceToken, nil)
	pub, con := w.member("pub", "publisher"), w.member("con", "consumer")
	w.refused(403, "Access to this resource is forbidden", "GET", "/projects/P/topics/t:metrics", pub, nil)
	w.refused(403, "Access to this resource is forbidden", "GET", "/projects/P/subscriptions/s:metrics", con, nil)
	w.refused(403, "Access to this resource is forbidden", "GET", "/projects/P:metrics", con, nil)
	w.must("POST", "/projects/P/topics/t:modifyAcl", serviceToken, `{"authorized_users":["pub"]}`)
	w.must("POST", "/projects/P/subscriptions/s:modifyAcl", serviceToken, `{"authorized_users":["con"]}`)
	w.clock.pass(24 * time.Hour)
	for range 2 {
		w.must("POST", "/projects/P/topics/t:publish", pub, `{"messages":[{"data":"QUJDRA=="},{"data":"QUJDRA=="}]}`)
	}
	topic := w.figures("/projects/P/topics/t", pub)
	require.Equal(t, []string{"topic.number_of_subscriptions of t: 1", "topic.number_of_messages of t: 7"}, topic[:2])
	require.NotEqual(t, "topic.number_of_bytes of t: 0", topic[2])
	require.Equal(t, []string{"topic.number_of_daily_messages of t: 2026-11-21 4 2026-11-20 3", "topic.publishing_rate of t: 0.07"}, topic[3:])
	require.Equal(t, []string{
		"project.number_of_topics of P: 2", "project.number_of_subscriptions of P: 1", "project.user.number_of_topics of P.pub: 1",
		"project.user.number_of_subscriptions of P.con: 1", "project.number_of_daily_messages of P: 2026-11-21 4 2026-11-20 3",
	}, w.figures("/projects/P", serviceToken))

	const s = "/projects/P/subscriptions/s"
	require.Equal(t, []string{"subscription.number_of_messages of s: 0", "subscription.number_of_bytes of s: 0", "subscription.consumption_rate of s: 0"}, w.figures(s, con))
	w.must("POST", s+":modifyOffset", serviceToken, `{"offset":3}`)
	w.must("POST", s+":pull", con, `{"maxMessages":"2"}`)
	w.must("POST", ackPath, con, ids(4))
	w.clock.pass(10 * time.Second)
	w.must("POST", s+":pull", con, `{"maxMessages":"2"}`)
	w.must("POST", ackPath, con, ids(5)) // the first of two
	require.Equal(t, []string{"subscription.number_of_messages of s: 3", "subscription.number_of_bytes of s: 24", "subscription.consumption_rate of s: 0.1"}, w.figures(s, con))
	w.must("DELETE", "/projects/P/topics/t", serviceToken, nil)
	w.refused(404, "Topic doesn't exist", "GET", "/projects/P/topics/t:metrics", serviceToken, nil)
	w.figures(s, con)
}

func TestReports(t *testing.T) {
	w := stocked(t, 3, func(cfg *pubsub.Config) {
		cfg.Version.Hostname = "n1"
		cfg.Usage = func() (float64, float64) { return 1.5, 2.25 }
	})
	admin := w.member("admin", "project_admin")
	w.must("POST", "/projects/Q", serviceToken, `{"description":"another"}`)
	w.clock.pass(24 * time.Hour)
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, `{"messages":[{"data":""}]}`)
	var r wire.Report
	w.must("GET", "/metrics/va_metrics?start_date=2026-11-20&end_date=2026-11-21", serviceToken, nil, &r)
	require.Equal(t, wire.Report{
		Projects: wire.ReportOfProjects{Projects: []wire.ReportOfProject{
			{Project: "P", Messages: 4, Average: 2, TopicsCount: 1, SubscriptionsCount: 1, UsersCount: 1}, {Project: "Q"},
		}, Messages: 4, Average: 2},
		UsersCount: 1, TopicsCount: 1, SubscriptionsCount: 1,
	}, r)
	w.must("GET", "/metrics/va_metrics?start_date=2026-11-21&projects=P", serviceToken, nil, &r)
	require.Equal(t, wire.ReportOfProjects{Projects: []wire.ReportOfProject{{Project: "P", Messages: 1, Average: 1}}, Messages: 1, Average: 1}, r.Projects)
	w.must("GET", "/metrics/va_metrics?end_date=2026-11-19", serviceToken, nil, &r)
	require.Zero(t, r.Projects.Messages, "before there was anything")
	for query, text := range map[string]string{
		"start_date=21.11.2026": "Start date is not in valid format", "end_date=x": "End date is not in valid format",
		"start_date=2026-11-22": "Start date cannot be after the end date",
	} {
		w.refused(400, text, "GET", "/metrics/va_metrics?"+query, serviceToken, nil)
	}
	w.refused(404, "none doesn't exist", "GET", "/metrics/va_metrics?projects=P,none", serviceToken, nil)
	w.refused(401, "Unauthorized", "GET", "/metrics/va_metrics", admin, nil)
	var u wire.Usage
	w.must("GET", "/users/usageReport", admin, nil, &u)
	require.Len(t, u.Report.Projects.Projects, 1, "those of an administrator are his own")
	require.EqualValues(t, 4, u.Report.Projects.Messages)
	w.must("GET", "/users/usageReport", w.member("con", "consumer"), nil, &u)
	require.Zero(t, u.Report.Projects.Messages)
	var m wire.Metrics
	w.must("GET", "/metrics", serviceToken, nil, &m)
	require.Equal(t, []any{"ams_node.cpu_usage", "n1", 1.5}, []any{m.Metrics[0].Metric, m.Metrics[0].Resource, m.Metrics[0].Series[0].Value})
	require.Equal(t, []any{"ams_node.memory_usage", 2.25}, []any{m.Metrics[1].Metric, m.Metrics[1].Series[0].Value})
}
