package measure

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Quantiles of a distribution of times.
type Quantiles struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

// QuantilesOf a histogram.
func QuantilesOf(h *hdrhistogram.Histogram) Quantiles {
	if h.TotalCount() == 0 {
		return Quantiles{}
	}
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	return Quantiles{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max())}
}

// NewHistogram is for times between a microsecond and ten minutes, in nanoseconds.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1000, int64(10*time.Minute), 3)
}

// Note puts a time into a histogram, at its ends what is beyond them.
func Note(h *hdrhistogram.Histogram, nanoseconds int64) {
	_ = h.RecordValue(min(max(nanoseconds, 1000), h.HighestTrackableValue()))
}
