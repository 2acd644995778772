// Package route copies messages from the log of one topic to those of others, as rules say. It knows what a rule makes of a message, and sees to it that each copy is made
// once, in order, whoever does it and however often it is begun anew.
package route
