// Package engine is the durable ground: one data directory, locked and of a known format, with an embedded NATS
// JetStream server in it that syncs every write before acknowledging it and encrypts what it stores. The server listens
// on no socket; its only client is the connection handed out here.
//
// The sub-rooms build on it: kv (the registry), blob (content-addressed files), journal (the fenced log).
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DefaultMaxPayload is the largest JetStream message, headers included, in bytes.
const DefaultMaxPayload = 8 << 20

// Config says where the engine keeps its data. Only Dir is required.
type Config struct {
	Dir        string       // data directory; made with mode 0700 when it does not exist
	Logger     *slog.Logger // nil discards
	MaxPayload int          // bytes of one message, headers included; 0 is DefaultMaxPayload, at most 64 MiB
}

// Engine is a started embedded JetStream on a locked data directory. It is safe for concurrent use until Close.
type Engine struct {
	dir        string
	log        *slog.Logger
	maxPayload int
	keys       map[string][]byte
	lock       *dirLock
	srv        *server.Server
	conn       *nats.Conn
	js         jetstream.JetStream
	ready      time.Duration
	free       func(dir string) (freeSpace, error)
}

// Open locks the data directory, makes it on first use, and starts the server on it. It refuses, with one sentence and
// without changing anything: a directory that another process holds, data of an unknown format, and data whose keys
// are missing, readable by others, or not the ones it was written with. The caller must Close the engine.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	begin := time.Now()
	e, err := prepare(cfg)
	if err != nil {
		return nil, err
	}
	if err := e.start(ctx); err != nil {
		e.Close()
		return nil, err
	}
	e.ready = time.Since(begin)
	e.log.LogAttrs(ctx, slog.LevelInfo, "engine ready", slog.String("dir", e.dir), slog.Duration("took", e.ready))
	return e, nil
}

func prepare(cfg Config) (*Engine, error) {
	if cfg.Dir == "" {
		return nil, refuse("no data directory is given")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve data directory: %w", err)
	}
	e := &Engine{dir: dir, log: cfg.Logger, maxPayload: cfg.MaxPayload, free: statFree}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	switch {
	case e.maxPayload == 0:
		e.maxPayload = DefaultMaxPayload
	case e.maxPayload < 64<<10 || e.maxPayload > server.MAX_PAYLOAD_SIZE*64:
		return nil, refuse("the engine's MaxPayload is %d bytes; allowed are 64 KiB to 64 MiB", e.maxPayload)
	}
	e.lock, e.keys, err = openLayout(dir)
	if err != nil {
		return nil, err
	}
	if err := e.CheckSpace(0); err != nil {
		e.lock.release()
		return nil, err
	}
	return e, nil
}

// Close stops the server, after it has written what it still held, and releases the data directory. Whoever uses the
// engine must have stopped before.
func (e *Engine) Close() error {
	if e.conn != nil {
		e.conn.Close()
	}
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
	}
	return e.lock.release()
}

// JetStream returns the client for streams of one's own. Open them with Stream, which is safe after damage.
func (e *Engine) JetStream() jetstream.JetStream { return e.js }

// Conn returns the in-process connection to the server. Do not close it.
func (e *Engine) Conn() *nats.Conn { return e.conn }

// Logger returns the log that the engine and the stores on it write to; never nil.
func (e *Engine) Logger() *slog.Logger { return e.log }

// Dir returns the absolute path of the data directory.
func (e *Engine) Dir() string { return e.dir }

// MaxPayload returns the size of the largest message, headers included, in bytes.
func (e *Engine) MaxPayload() int { return e.maxPayload }

// Ready returns how long Open took.
func (e *Engine) Ready() time.Duration { return e.ready }

// BlobKey returns the 32 byte key under which blobs are encrypted.
func (e *Engine) BlobKey() []byte { return e.keys[blobKey] }
