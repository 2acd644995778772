package wire

import "time"

// Metrics are metrics.
type Metrics struct {
	Metrics []Metric `json:"metrics"`
}

// Metric is one of them, of one thing.
type Metric struct {
	Metric       string  `json:"metric"`
	Type         string  `json:"metric_type"`
	ValueType    string  `json:"value_type"`
	ResourceType string  `json:"resource_type"`
	Resource     string  `json:"resource_name"`
	Series       []Point `json:"timeseries"`
	Description  string  `json:"description"`
}

// Point is a value, a uint64 or a float64, at a time.
type Point struct {
	At    string `json:"timestamp"`
	Value any    `json:"value"`
}

// Counter is a metric that counts.
func Counter(metric, kind, name, description string, at time.Time, value uint64) Metric {
	return Metric{metric, "counter", "int64", kind, name, []Point{{Second(at), value}}, description}
}

// Rate is a metric per second.
func Rate(metric, kind, name, description string, at time.Time, value float64) Metric {
	return Metric{metric, "rate", "float64", kind, name, []Point{{Second(at), value}}, description}
}

// Percentage is a part of a hundred.
func Percentage(metric, kind, name, description string, at time.Time, value float64) Metric {
	return Metric{metric, "percentage", "float64", kind, name, []Point{{Second(at), value}}, description}
}

// Daily is a metric that counts days apart.
func Daily(metric, kind, name, description string, days []Point) Metric {
	return Metric{metric, "counter", "int64", kind, name, days, description}
}

// Day writes a day as metrics have it.
func Day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// ParseDay reads a day.
func ParseDay(s string) (time.Time, bool) {
	t, err := time.Parse(time.DateOnly, s)
	return t, err == nil
}

// Report tells what projects were used for.
type Report struct {
	Projects           ReportOfProjects `json:"projects_metrics"`
	UsersCount         int              `json:"total_users_count"`
	TopicsCount        int              `json:"total_topics_count"`
	SubscriptionsCount int              `json:"total_subscriptions_count"`
}

// ReportOfProjects is its part about each of them.
type ReportOfProjects struct {
	Projects []ReportOfProject `json:"projects"`
	Messages uint64            `json:"total_message_count"`
	Average  float64           `json:"average_daily_messages"`
}

// ReportOfProject is that about one.
type ReportOfProject struct {
	Project            string  `json:"project"`
	Messages           uint64  `json:"message_count"`
	Average            float64 `json:"average_daily_messages"`
	TopicsCount        int     `json:"topics_count"`
	SubscriptionsCount int     `json:"subscriptions_count"`
	UsersCount         int     `json:"users_count"`
}

// Usage is a Report with metrics of nodes beside it.
type Usage struct {
	Report      Report  `json:"va_metrics"`
	Operational Metrics `json:"operational_metrics"`
}
