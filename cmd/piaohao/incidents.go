package main

import (
	"context"
	"os"
	"time"

	"piaohao/internal/ops"
)

type incidents struct {
	JSON  bool `help:"Print JSON." xor:"form"`
	CSV   bool `help:"Print CSV (RFC 4180), safe for spreadsheets." xor:"form"`
	Limit int  `help:"How many, the newest first; at most 2000." default:"100"`
}

// Run prints them, the newest first.
func (v incidents) Run(ctx context.Context) error {
	return atDesk(ctx, func(desk ops.Desk) error {
		all, err := desk.Incidents(ctx, v.Limit)
		switch {
		case err != nil:
			return err
		case v.JSON:
			return ops.JSON(os.Stdout, all)
		case v.CSV:
			return ops.IncidentsCSV(os.Stdout, all)
		}
		return ops.Incidents(os.Stdout, all, time.Local)
	})
}
