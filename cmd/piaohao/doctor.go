package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"piaohao/internal/doctor"
)

type doctorVerb struct {
	Online bool `help:"Also ask the platforms one harmless question each, and try our public address from outside."`
	JSON   bool `help:"Print the report as JSON; its shape is the package comment of internal/doctor."`
}

// Exit codes of doctor beside 0. Exit 2 is that of a report that is not there: interrupted, or not written.
const (
	exitFaults = 1 // errors were found; warnings alone are no reason
	exitFailed = 2
)

// Help says what the exit code means.
func (doctorVerb) Help() string {
	return "Looks at the settings and says what is wrong and what mends it. It changes nothing and shows no secret. " +
		"Exit code: 0 nothing wrong (there may be warnings), 1 errors were found, 2 the report could not be made or written."
}

// Run examines the installation; it ends the process with its own exit codes.
func (d doctorVerb) Run(ctx context.Context) error { //nolint:unparam // kong's signature
	c, err := settings()
	if code := d.run(ctx, doctor.In{Config: c, Err: err, Now: time.Now, Online: d.Online}, os.Stdout, os.Stderr); code != 0 {
		os.Exit(code)
	}
	return nil
}

func (d doctorVerb) run(ctx context.Context, in doctor.In, out, errs io.Writer) int {
	report := doctor.Examine(ctx, in)
	err := ctx.Err()
	if err == nil {
		err = d.write(report, out)
	}
	switch {
	case err != nil:
		fmt.Fprintln(errs, "piaohao: doctor did not finish:", err)
		return exitFailed
	case report.Errors > 0:
		return exitFaults
	}
	return 0
}

func (d doctorVerb) write(report doctor.Report, out io.Writer) error {
	if !d.JSON {
		return report.Print(out)
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(report)
}
