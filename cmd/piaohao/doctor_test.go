package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"piaohao/internal/config"
	"piaohao/internal/doctor"
)

func TestDoctorExitCodes(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name string
		ctx  context.Context
		err  error // of config.Load
		out  *failing
		want int
	}{
		{"nothing wrong", t.Context(), nil, &failing{}, 0},
		{"settings at fault", t.Context(), config.Problems{{Setting: "LOG_LEVEL", Code: "invalid", Text: "is no level"}}, &failing{}, 1},
		{"interrupted", gone, nil, &failing{}, 2},
		{"the report cannot be written", t.Context(), nil, &failing{err: errors.New("disk full")}, 2},
	} {
		for _, asJSON := range []bool{false, true} {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				var errs bytes.Buffer
				out := *row.out
				in := doctor.In{Err: row.err, Now: time.Now}
				if got := (doctorVerb{JSON: asJSON}).run(row.ctx, in, &out, &errs); got != row.want {
					t.Errorf("exit %d, want %d: %s", got, row.want, errs.String())
				}
				if (errs.Len() > 0) != (row.want == 2) {
					t.Errorf("on stderr: %q", errs.String())
				}
				if row.want == 2 {
					return
				}
				var report doctor.Report
				if asJSON != (json.Unmarshal(out.text.Bytes(), &report) == nil) || !strings.Contains(out.text.String(), "LOG_LEVEL") != (row.err == nil) {
					t.Errorf("wrote %s", out.text.String())
				}
			})
		}
	}
}

// failing is a writer that fails when it has an error.
type failing struct {
	text bytes.Buffer
	err  error
}

func (f *failing) Write(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.text.Write(b)
}
