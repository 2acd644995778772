// Package budget shares memory out among those who want some for a while, so that nobody can take it from all others, however long he keeps it.
// It counts bytes, and knows nothing of what they are for.
package budget
