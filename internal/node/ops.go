package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"piaohao/internal/config"
	"piaohao/internal/gateway"
	"piaohao/internal/id"
	"piaohao/internal/ops"
	"piaohao/internal/store"
)

// exchangesEvery is how long the record of what was exchanged with platforms may stay in memory.
const exchangesEvery = time.Second

// listenOps answers operators at the socket of the data folder. Without it payments go on as ever, so that what stands in
// its way is told and no reason not to start: a second node on the same folder, or a file system without sockets.
func (n *Node) listenOps() {
	l, err := ops.Listen(n.config.DataDir)
	if err != nil {
		n.log.Warn("operators cannot ask this process: piaohao payment, incidents and keys will not find it", "data_dir", n.config.DataDir,
			"cause", err)
		return
	}
	n.closers = append(n.closers, func() error { return ignoreClosed(l.Close()) })
	n.servers = append(n.servers, server{name: "operators", variable: "DATA_DIR", listener: l, http: ops.NewServer(n.gateway, n.log)})
}

// keepExchanges stores at the end what the last second left in memory.
func (n *Node) keepExchanges() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := n.gateway.StoreExchanges(ctx); err != nil {
		n.log.Error("exchanges not stored", "cause", err)
	}
	return nil // nothing else depends on it
}

// defaultDataDir is where config looks without DATA_DIR, for when the settings cannot be read at all.
const defaultDataDir = "./data"

// Operate opens the desk of operators: at the server that runs on dataDir, else over its database. dataDir may be "": then
// the settings name it. The socket is tried before the settings must be in order, since a running server has its own.
// Close it with done.
func Operate(ctx context.Context, dataDir string, load func() (config.Config, error)) (desk ops.Desk, done func() error, err error) {
	var c config.Config
	var problem error
	if dataDir == "" {
		c, problem = load()
		dataDir = cmp.Or(c.DataDir, defaultDataDir)
	}
	client, err := ops.Dial(ctx, dataDir)
	if err == nil {
		return client, func() error { return nil }, nil
	}
	if !errors.Is(err, ops.ErrNobody) {
		return nil, nil, err
	}
	if c.DataDir == "" && problem == nil {
		c, problem = load()
	}
	if problem != nil {
		return nil, nil, fmt.Errorf("no server runs on the data folder %s (set DATA_DIR if it runs on another), and the settings "+
			"with which its database could be opened are not in order:\n%w", dataDir, problem)
	}
	return openDesk(ctx, c)
}

// openDesk opens the database that no server has open.
func openDesk(ctx context.Context, c config.Config) (ops.Desk, func() error, error) {
	dsn := c.Database.Reveal()
	if path, lite := strings.CutPrefix(dsn, "sqlite:"); lite {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("no server runs on the data folder %s and it has no database %s: start piaohao once, or set "+
				"DATA_DIR to the folder that the server uses", c.DataDir, filepath.Base(path))
		}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	n := &Node{config: c, now: time.Now}
	db, err := store.Open(ctx, store.Options{DSN: dsn, Mode: n.mode(), Now: time.Now, Log: log, AllowUnsafe: c.UnsafeDatabase})
	if errors.Is(err, store.ErrInUse) {
		return nil, nil, fmt.Errorf("a process has the database in %s open, and no server answers at %s: that process may be starting, "+
			"stopping, or an older version; try again, or stop it", c.DataDir, ops.SocketPath(c.DataDir))
	}
	if err != nil {
		return nil, nil, err
	}
	g := gateway.New(gateway.Config{
		DB: db, PublicURL: c.PublicURL, Livemode: c.Live, Now: time.Now, NewID: id.New(time.Now).ID, NewToken: id.Token, Log: log,
	})
	return ops.Local{Gateway: g, By: ops.User(os.Getuid())}, db.Close, nil
}
