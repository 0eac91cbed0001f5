package main

import (
	"context"
	"errors"
	"os"

	"piaohao/internal/node"
)

type serve struct{}

// Run serves until SIGINT or SIGTERM.
func (serve) Run(ctx context.Context) error {
	c, err := settings()
	if err != nil {
		return err
	}
	n, err := node.New(ctx, c, node.Outside{Logs: os.Stderr})
	if err != nil {
		return err
	}
	n.Greet(os.Stdout)
	return errors.Join(n.Run(ctx), n.Close())
}
