package stats_test

import (
	"math"
	"testing"
	"time"

	"github.com/mqedge/mqedge/bench/stats"
)

func TestAMedianIsTheMiddleOrTheMeanOfTheTwoInTheMiddle(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{math.NaN(), 7, math.NaN()}, 7},
	} {
		if got := stats.Median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
	if got := stats.Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v, want NaN", got)
	}
}

func TestSummarizingKeepsTheOrderOfTheRounds(t *testing.T) {
	values := []float64{3, math.NaN(), 1, 2}
	if got, want := stats.Summarize(values), (stats.Summary{Min: 1, Median: 2, Max: 3, N: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if values[0] != 3 || values[2] != 1 {
		t.Errorf("the values were reordered: %v", values)
	}
}

func TestARatioIsTakenInsideRounds(t *testing.T) {
	// The host was slow in the second round for both; the ratio of the medians would be 11/20.
	a, b := []float64{10, 100, 11}, []float64{20, 200, 10}
	if got := stats.Ratio(a, b); got != 0.5 {
		t.Errorf("ratio %v, want 0.5", got)
	}
}

func TestARoundWithoutAPartnerDoesNotCount(t *testing.T) {
	if got := stats.Ratio([]float64{1, math.NaN(), 8, 5}, []float64{2, 1, 0}); got != 0.5 {
		t.Errorf("ratio %v, want 0.5", got)
	}
	if got := stats.Ratio(nil, []float64{1}); !math.IsNaN(got) {
		t.Errorf("ratio of nothing is %v, want NaN", got)
	}
}

func TestTheBestIsChosenRoundByRound(t *testing.T) {
	nan := math.NaN()
	got := stats.Best([]float64{3, nan, nan}, []float64{2, 5, nan, 7}, []float64{4, 6})
	for i, want := range []float64{2, 5, nan, 7} {
		if got[i] != want && !(math.IsNaN(got[i]) && math.IsNaN(want)) {
			t.Errorf("round %d: %v, want %v", i+1, got[i], want)
		}
	}
	if len(got) != 4 || stats.Best() != nil {
		t.Errorf("%v, and %v of nothing", got, stats.Best())
	}
}

func TestQuantilesAreWithinThreePercentAndNeverTooLow(t *testing.T) {
	var h stats.Histogram
	for i := 1; i <= 100_000; i++ {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	for q, exact := range map[float64]time.Duration{0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond, 1: 100 * time.Millisecond} {
		if got := h.Quantile(q); got < exact || float64(got) > 1.033*float64(exact) {
			t.Errorf("quantile %v is %s, want %s", q, got, exact)
		}
	}
}

func TestAHistogramTakesAnyDuration(t *testing.T) {
	var h stats.Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %s, want 0", got)
	}
	for _, d := range []time.Duration{-1, 0, 31, 32, 33, 1<<63 - 1} {
		h.Record(d)
	}
	if got := h.Quantile(1); got != 1<<63-1 {
		t.Errorf("largest %d, want %d", got, int64(1<<63-1))
	}
}
