// Package push brings the messages of push subscriptions to their endpoints, from the node that leads the subscription, and moves its cursor when an
// endpoint has taken them. What it sends, when, and who leads are pure functions; where it may connect to is checked where the connection is made.
package push
