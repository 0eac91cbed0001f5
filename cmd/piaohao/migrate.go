package main

import (
	"context"
	"os"

	"piaohao/internal/node"
)

type migrate struct {
	Check bool `help:"Change nothing; exit 1 when something is to be done."`
}

// Help says when it is needed.
func (migrate) Help() string {
	return "A server does the same when it starts. Each step runs in one transaction and is undone when rows, sums of money " +
		"or the rules between them differ after it. Exit code: 0 the tables are up to date, 1 they are not."
}

// Run prints the versions and what is pending.
func (v migrate) Run(ctx context.Context) error {
	c, err := settings()
	if err != nil {
		return err
	}
	return node.Migrate(ctx, c, v.Check, os.Stdout)
}
