package main

import (
	"context"
	"os"
	"time"

	"piaohao/internal/ops"
)

type keys struct {
	Create keysCreate `cmd:"" help:"Make an API key of a shop and print it, this once."`
	List   keysList   `cmd:"" help:"List the keys: ids, shops and last characters."`
	Revoke keysRevoke `cmd:"" help:"Refuse a key from now on."`
}

type keysCreate struct {
	Shop string `required:"" help:"The shop's id: default."`
	Name string `help:"What to call the key, up to 64 characters."`
}

// Run prints the key on a line of its own.
func (v keysCreate) Run(ctx context.Context) error {
	return atDesk(ctx, func(desk ops.Desk) error {
		k, err := desk.CreateKey(ctx, v.Shop, v.Name)
		if err != nil {
			return err
		}
		return ops.NewKey(os.Stdout, k)
	})
}

type keysList struct {
	JSON bool `help:"Print JSON."`
}

// Run prints all keys, the newest first, never a key itself.
func (v keysList) Run(ctx context.Context) error {
	return atDesk(ctx, func(desk ops.Desk) error {
		all, err := desk.Keys(ctx)
		if err != nil {
			return err
		}
		if v.JSON {
			return ops.JSON(os.Stdout, all)
		}
		return ops.Keys(os.Stdout, all, time.Local)
	})
}

type keysRevoke struct {
	ID string `arg:"" help:"The key's id, key_…; piaohao keys list shows it."`
}

// Run revokes it; twice is fine.
func (v keysRevoke) Run(ctx context.Context) error {
	return atDesk(ctx, func(desk ops.Desk) error {
		k, err := desk.RevokeKey(ctx, v.ID)
		if err != nil {
			return err
		}
		return ops.Revoked(os.Stdout, k)
	})
}
