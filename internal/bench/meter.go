package bench

import (
	"os"
	"time"
)

// ownCPU is the CPU time of this process.
func ownCPU() (time.Duration, error) { return cpuOf(os.Getpid()) }
