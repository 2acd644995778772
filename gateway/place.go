package gateway

import "strings"

// Everything that waits waits in a queue of the store. Its name there, its place, is that of the destination for ordinary
// queues; others have places that no destination's name can be, for names hold no control characters.

// The first bytes of places that are not ordinary queues. They are stored.
const (
	subscriptionMark = "\x01"
	tempMark         = "\x02"
	scheduleMark     = "\x03"
	retainedMark     = "\x04"
)

// SchedulePlace is the place of the messages that are to be sent later, each with its real destination.
const SchedulePlace = scheduleMark + "schedule"

// Place returns where the messages of a destination wait: of a queue of any kind. Topics have none: what is kept of them has a
// place of its own, see RetainedPlace.
func (d Destination) Place() string {
	switch d.Kind {
	case KindSubscription:
		return subscriptionMark + d.Name
	case KindTempQueue:
		return tempMark + d.Name
	}
	return d.Name
}

// RetainedPlace is the place of what is kept of a topic for those who come later.
func RetainedPlace(topic string) string { return retainedMark + topic }

// Placed returns the destination that a place is of, as operators see it: a topic for what is kept of it. ok is false for
// places that are the broker's own.
func Placed(place string) (d Destination, ok bool) {
	if place == "" {
		return Destination{}, false
	}
	for _, x := range [...]struct {
		mark string
		kind Kind
	}{{subscriptionMark, KindSubscription}, {tempMark, KindTempQueue}, {retainedMark, KindTopic}} {
		if name, found := strings.CutPrefix(place, x.mark); found {
			return Destination{Kind: x.kind, Name: name}, true
		}
	}
	return Destination{Kind: KindQueue, Name: place}, place[0] >= 0x20
}
