package nats

// HandedOver reports whether the server has surely taken all that was handed out.
func (d *Door) HandedOver() bool {
	d.workers.mu.Lock()
	defer d.workers.mu.Unlock()
	c := d.workers.leaf
	return c != nil && c.Taken() == c.Sent()
}
