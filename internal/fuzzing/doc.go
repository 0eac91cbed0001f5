// Package fuzzing finds every fuzz target of the repository and runs each for a while (T10). Their seeds run with the tests
// of their own packages; what a long run finds is written to the testdata of the package, where it stays as a seed.
//
//	PIAOHAO_SOAK=1 go test ./internal/fuzzing -timeout 3h           each for a minute
//	go test ./internal/fuzzing -fuzzing.each 10s -v                 each for ten seconds
package fuzzing
