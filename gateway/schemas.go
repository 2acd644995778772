package gateway

// Schemas knows what messages to some topics have to be like. Implemented by whoever keeps topics with schemas.
type Schemas interface {
	// Check returns nil if a message is what the topic's schema asks for, or there is none; else an Error of kind Invalid that says what is wrong, and where. It
	// calls the message by its number among those that were sent with it, from 0. It does not wait for anything, and may be called concurrently.
	Check(topic string, number int, m *Message) error
}
