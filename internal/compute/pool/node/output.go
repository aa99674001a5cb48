package node

import (
	"sync"
	"time"

	"artesian/internal/compute/lang/lambda"
	"artesian/internal/compute/lang/output"
	"artesian/internal/compute/pool"
	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

// printed implements pool.Output: what comes out of the pipe and the platform's own lines, in one order, into the log.
type printed struct {
	out   *output.Reader
	aside *output.Reader // of what runs beside the runtime; nil without
	log   Log

	closed  sync.Once
	mu      sync.Mutex
	tailing bool
	tail    []byte
}

// newOutput takes over what is printed inside. also gets a copy of all that the log gets of it.
func newOutput(sb sandbox.Sandbox, v *faas.Version, now func() time.Time, log Log, also func(beside bool, at time.Time, message string)) (*printed, error) {
	p := &printed{log: log}
	var err error
	p.out, err = output.New(sb.Output(), now, func(at time.Time, message string) {
		if lambda.Wanted(v, message) {
			p.Line(at, message)
			also(false, at, message)
		}
	})
	if b := sb.Beside().Output; err == nil && b != nil {
		p.aside, err = output.New(b, now, func(at time.Time, message string) {
			p.Line(at, message)
			also(true, at, message)
		})
	}
	return p, err
}

// Line implements pool.Output. It may block.
func (p *printed) Line(at time.Time, message string) {
	p.mu.Lock()
	if p.tailing {
		p.tail = append(append(p.tail, message...), '\n')
		if over := len(p.tail) - pool.MaxTail; over > pool.MaxTail { // cut seldom
			p.tail = append(p.tail[:0], p.tail[over:]...)
		}
	}
	p.mu.Unlock()
	p.log.Write(at, message)
}

// Drain implements pool.Output.
func (p *printed) Drain() {
	p.out.Drain()
	if p.aside != nil {
		p.aside.Drain()
	}
}

// Tail implements pool.Output.
func (p *printed) Tail(on bool) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tail
	p.tailing, p.tail = on, nil
	return t[max(0, len(t)-pool.MaxTail):]
}

// Close implements pool.Output.
func (p *printed) Close() {
	p.closed.Do(func() {
		_ = p.out.Close()
		if p.aside != nil {
			_ = p.aside.Close()
		}
		p.log.Close()
	})
}
