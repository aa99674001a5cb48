package host

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"
)

// background is the work that goes on when nobody waits for it. Its methods are safe for concurrent use.
type background struct {
	ctx  context.Context // ends when it is closed
	end  context.CancelFunc
	work sync.WaitGroup

	mu sync.Mutex // orders start and close
}

func newBackground() *background {
	b := new(background)
	b.ctx, b.end = context.WithCancel(context.Background())
	return b
}

// start has f run, unless b is closed.
func (b *background) start(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return false
	}
	b.work.Go(f)
	return true
}

// close has the work end, and returns when it has.
func (b *background) close() {
	b.mu.Lock()
	b.end()
	b.mu.Unlock()
	b.work.Wait()
}

// meetTime bounds the compilation of one pack for one interpreter.
const meetTime = 2 * time.Minute

// meeting is an interpreter and a pack. A pack that was removed and installed again is another one at the same place.
type meeting struct {
	executable, pack string
	inode            uint64
}

// Meet has the pack of the interpreter that serves a runtime identifier compiled for it in the background, unless it is.
func (c *Catalog) Meet(runtime string) {
	if e, err := c.serves(runtime); err == nil && e != nil {
		c.meet(e, c.pack(e))
	}
}

// meet has a pack compiled for an interpreter when the two meet first since the start. Functions run meanwhile: they
// compile what they import themselves. What goes wrong is tried again after the next start.
func (c *Catalog) meet(e *entry, pack string) {
	info, err := os.Stat(pack)
	if err != nil || e.language.compile == nil {
		return
	}
	m := meeting{e.facts.Executable, pack, info.Sys().(*syscall.Stat_t).Ino}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.met[m] {
		return
	}
	c.met[m] = c.behind.start(func() {
		c.compiling.Lock()
		defer c.compiling.Unlock()
		ctx, cancel := context.WithTimeout(c.behind.ctx, meetTime)
		defer cancel()
		begun := time.Now()
		if err := e.language.compile(ctx, e.facts, pack); err == nil {
			c.cfg.Logger.Debug("runtime pack is compiled", "pack", pack, "interpreter", m.executable, "took", time.Since(begun))
		} else if c.behind.ctx.Err() == nil {
			c.cfg.Logger.Warn("runtime pack is not compiled: functions that import it start slower", "pack", pack, "interpreter", m.executable, "error", err)
		}
	})
}
