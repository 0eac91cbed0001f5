package storm

import (
	"errors"
	"strings"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// commits are the storms that run, by the address of their database: SQLite asks the one that it belongs to before each
// commit.
var commits sync.Map

// commitHookText is how the driver names a commit that a hook refused.
const commitHookText = "(531)"

func init() {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, dsn string) error {
		path, _, _ := strings.Cut(strings.TrimPrefix(dsn, "file://"), "?")
		found, ok := commits.Load("sqlite:" + path)
		if !ok {
			return nil
		}
		s := found.(*storm)
		conn.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
			if s.cur == nil || !s.chance(s.faults.commit) {
				return 0
			}
			s.note(s.cur.name, "its commit fails")
			return 1
		})
		return nil
	})
}

// refusedCommit reports a failure that the storm made: its cause is a commit that was refused.
func refusedCommit(err error) bool {
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_CONSTRAINT_COMMITHOOK
}
