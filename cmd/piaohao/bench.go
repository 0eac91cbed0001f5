package main

import (
	"context"
	"errors"
	"io"
	"os"

	"piaohao/internal/bench"
)

type benchVerb struct {
	Database string `help:"PostgreSQL whose user may make databases, as postgres://…; else SQLite."`
	Rounds   int    `help:"Medians are of this many rounds." default:"5"`
	Size     int    `help:"Operations of each kind in a round." default:"4000"`
	Rows     int64  `help:"Measure notices in a database of this many payments too, such as 1000000; it takes long." default:"0"`
	Out      string `help:"Write table and plot into this folder." type:"path"`
	JSON     bool   `help:"Print the figures for programs." name:"json"`
}

// Help says what it does and what it leaves.
func (benchVerb) Help() string {
	return "A gateway and a simulator are started in temporary folders and taken away again; nothing of yours is touched. Each figure " +
		"stands beside what its parts cost bare in the same run. Exit code: 0 measured, whatever the figures are; 1 not measured, or " +
		"a rule about the payments that it made was broken."
}

// Run measures.
func (v benchVerb) Run(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	b := newBar()
	r, err := bench.Run(ctx, bench.Options{
		Program: program, Database: v.Database, Unsafe: os.Getenv("ALLOW_UNSAFE_DATABASE") == "1", Rounds: v.Rounds, Size: v.Size,
		Rows: v.Rows, Watchers: 1000, Told: b.told,
	})
	b.end()
	if err != nil {
		return err
	}
	if v.Out != "" {
		err = r.Write(v.Out)
	}
	if v.JSON {
		return errors.Join(err, r.WriteJSON(os.Stdout))
	}
	r.WriteText(os.Stdout)
	return err
}

type benchChild struct {
	Spec string `arg:""`
}

// Run is a process that piaohao bench measures.
func (v benchChild) Run(ctx context.Context) error {
	return bench.Child(ctx, v.Spec, os.Stdin, io.Writer(os.Stdout))
}
