package engine

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Limits that the server would otherwise derive from the machine.
const (
	memoryLimit = 64 << 20 // of streams in memory, which nothing durable uses
	storeLimit  = 1 << 50  // the disk is the limit, and CheckSpace watches it
	requestTime = 10 * time.Second
)

func (e *Engine) start(ctx context.Context) error {
	out := &natsLog{log: e.log}
	srv, err := server.NewServer(e.options())
	if err != nil {
		return fmt.Errorf("make engine server: %w", err)
	}
	srv.SetLoggerV2(out, false, false, false)
	e.srv = srv
	srv.Start()
	if reason := out.fatal(); reason != "" {
		return refuse("the engine in %s cannot start: %s", e.dir, reason)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	return e.connect()
}

// options keeps the server off the network and durable: SyncAlways makes an acknowledged write survive power loss, where
// the default would sync every two minutes.
func (e *Engine) options() *server.Options {
	return &server.Options{
		ServerName:             "artesian",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		StoreDir:               filepath.Join(e.dir, storeDir),
		SyncAlways:             true,
		JetStreamKey:           hex.EncodeToString(e.keys[engineKey]),
		JetStreamCipher:        server.AES,
		JetStreamMaxMemory:     memoryLimit,
		JetStreamMaxStore:      storeLimit,
		DisableJetStreamBanner: true,
		MaxPayload:             int32(e.maxPayload),
		MaxPending:             64 << 20,
	}
}

func (e *Engine) connect() error {
	conn, err := nats.Connect("", nats.InProcessServer(e.srv), nats.Name("artesian"), nats.MaxReconnects(-1),
		nats.ReconnectWait(50*time.Millisecond), nats.Timeout(requestTime),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			e.log.Warn("engine connection", "error", err)
		}))
	if err != nil {
		return fmt.Errorf("connect to engine: %w", err)
	}
	e.conn = conn
	e.js, err = jetstream.New(conn, jetstream.WithDefaultTimeout(requestTime))
	if err != nil {
		return fmt.Errorf("make engine client: %w", err)
	}
	return nil
}

// natsLog hands the server's own log to slog. Its notices are start-up chatter, so they are debug output here. A fatal
// message would end a stand-alone server; here it makes Open answer with it.
type natsLog struct {
	log *slog.Logger
	mu  sync.Mutex
	end string
}

func (n *natsLog) write(level slog.Level, format string, v ...any) {
	ctx := context.Background()
	if n.log.Enabled(ctx, level) {
		n.log.LogAttrs(ctx, level, "engine server", slog.String("text", fmt.Sprintf(format, v...)))
	}
}

func (n *natsLog) fatal() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.end
}

func (n *natsLog) Noticef(format string, v ...any) { n.write(slog.LevelDebug, format, v...) }
func (n *natsLog) Warnf(format string, v ...any)   { n.write(slog.LevelWarn, format, v...) }
func (n *natsLog) Errorf(format string, v ...any)  { n.write(slog.LevelError, format, v...) }
func (n *natsLog) Debugf(format string, v ...any)  { n.write(slog.LevelDebug, format, v...) }
func (n *natsLog) Tracef(format string, v ...any)  { n.write(slog.LevelDebug, format, v...) }

func (n *natsLog) Fatalf(format string, v ...any) {
	n.mu.Lock()
	n.end = fmt.Sprintf(format, v...)
	n.mu.Unlock()
	n.write(slog.LevelError, format, v...)
}
