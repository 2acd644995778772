// Package audit writes down who did what: logins that are refused, what becomes of sessions and subscriptions, what is denied, and, if that is wanted, every
// message. Nobody can flood what is written by being refused again and again: the rest of a second's refusals is counted.
package audit
