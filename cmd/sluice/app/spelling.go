package app

import "slices"

// didYouMean returns `, did you mean "x"?` for the known word that was probably
// meant, or nothing.
func didYouMean(word string, known []string) string {
	if k := nearest(word, known); k != "" {
		return `, did you mean "` + k + `"?`
	}
	return ""
}

// nearest returns the known word nearest to the given one, or "" if none is near
// enough to be meant.
func nearest(word string, known []string) string {
	best, least := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := distance(word, k); d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := slices.Clone(row)
		next[0] = i + 1
		for j := range len(b) {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, row[j+1]+1, next[j]+1)
		}
		row = next
	}
	return row[len(b)]
}
