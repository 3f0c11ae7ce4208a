package configs

// rates checks what paces the connections of a listener.
func (c *checker) rates(l *Listener, path string) {
	c.rate(l.ConnectRate, path+".connect_rate")
	waiting := l.ConnectRate.Queue
	if l.TLS != nil {
		c.rate(l.TLS.FullHandshakes, path+".tls.full_handshakes")
		waiting += l.TLS.FullHandshakes.Queue
	}
	at := path + ".max_half_open"
	if l.MaxHalfOpen > 0 && l.MaxHalfOpen <= waiting && !c.failed(at) {
		c.warnf(at, "%d would be reached before the queues are full, since those that wait count: make it greater than %d",
			l.MaxHalfOpen, waiting)
	}
}

func (c *checker) rate(r Rate, path string) {
	if c.failed(path) || c.failed(path+".per_second") {
		return
	}
	if r.PerSecond == 0 {
		if r != (Rate{}) {
			c.warnf(path, "has no effect without per_second: write how many there may be in a second")
		}
		return
	}
	if r.Queue == 0 && r.Wait > 0 && !c.failed(path+".queue") && !c.failed(path+".wait") {
		c.warnf(path+".wait", "has no effect without queue: write how many may wait, such as %d", 4*r.PerSecond)
	}
}
