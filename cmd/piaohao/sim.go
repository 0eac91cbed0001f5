package main

import (
	"context"
	"errors"
	"os"

	"piaohao/internal/node"
)

type sim struct{}

// Run serves the simulator alone until SIGINT or SIGTERM.
func (sim) Run(ctx context.Context) error {
	c, err := settings()
	if err != nil {
		return err
	}
	if c.Live {
		return errors.New("the settings are for real money, and a simulator beside them would mix the two; start it with ENV_FILE=off, in an environment without credentials")
	}
	n, err := node.NewSim(c, os.Stderr)
	if err != nil {
		return err
	}
	n.Greet(os.Stdout)
	return errors.Join(n.Run(ctx), n.Close())
}
