package stats

import (
	"math"
	"slices"
)

// Summary is the spread of a series.
type Summary struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// Summarize describes the values that are numbers; NaN stands for a round that gave none.
func Summarize(values []float64) Summary {
	values = numbers(values)
	if len(values) == 0 {
		return Summary{}
	}
	return Summary{Min: slices.Min(values), Median: Median(values), Max: slices.Max(values), N: len(values)}
}

// Median is the middle value, or the mean of the two in the middle; NaN for none. Values that are NaN do not count.
func Median(values []float64) float64 {
	values = numbers(values)
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// Ratio is the median of a[i]/b[i]: each pair was measured in one round, so what slows the host for a while cancels
// out. Rounds in which either is NaN, or b is 0, do not count.
func Ratio(a, b []float64) float64 {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			ratios = append(ratios, a[i]/b[i])
		}
	}
	return Median(ratios)
}

// Best is the smallest value of each round among several series, NaN where none has a number.
func Best(series ...[]float64) (best []float64) {
	for _, values := range series {
		for i, v := range values {
			if i == len(best) {
				best = append(best, math.NaN())
			}
			if !(best[i] <= v) && !math.IsNaN(v) {
				best[i] = v
			}
		}
	}
	return best
}

// numbers is a copy without NaN.
func numbers(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), math.IsNaN)
}
