// Package e2e runs the program as its users meet it: the built binary as a process, a real browser on the payer's
// pages, and SDKs that we did not write as judges of the wire. It has tests only.
package e2e
