// Package lead says which of several nodes does what one of them is to do, and wakes it when there is something to do: for subscriptions that are pushed, and for routes.
package lead
