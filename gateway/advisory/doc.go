// Package advisory makes the messages by which ActiveMQ tells on topics what happens in it: who comes and goes, which destinations there are, what becomes
// of messages. It is pure: core says what happened, and doors translate the body, which is JSON, into what their clients asked for.
package advisory
