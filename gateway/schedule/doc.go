// Package schedule is what messages say of being sent later, once or again and again, and what clients say to those who keep them. It is pure: core keeps
// the messages in gateway.SchedulePlace, and has a copy sent when the time comes.
package schedule
