// Package faults runs the built program and lets the machine under it fail: it is killed at every operation of its
// database and at every write, its disk fails or is full, its writes are lost before they were flushed. It has tests only.
package faults
