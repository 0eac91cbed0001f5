// Package mutants takes checks out of the code, one at a time, and demands that a named test goes red (T9). A mutant is
// the exact text of a check and what stands in its place; it is compiled from an overlay, so that the tree is never
// changed. One whose text is no longer in its file fails: whoever rewrites a check rewrites its mutant. One that no test
// sees is a missing test.
//
//	go test ./internal/mutants                                     some, chosen by the code itself
//	go test ./internal/mutants -mutants.only amount -v             those whose file or name holds a text
//	go test ./internal/mutants -mutants.only amount -mutants.whole -v   against all tests of the package, and which see them
//	PIAOHAO_SOAK=1 go test ./internal/mutants -timeout 2h          all
package mutants
