// Package storm runs the whole system under a seed: two gateways on one real database, platforms, payers and a shop,
// in virtual time, one step at a time, while calls fail, notices get lost, nodes die and processes stand still. When
// the faults end and nothing is due any more it compares the platforms' books with ours (I-01 … I-14).
//
// Every task is a coroutine. It pauses wherever the code reads the clock (gateway does so between Load and Apply),
// and before and after each platform call, notice and webhook; a seeded choice says who goes on. The clock is that
// of a testing/synctest bubble, so deadlines in the code fire in virtual time too. The same seed is the same run.
//
//	go test ./internal/storm -run 'TestStorm$' -storm.seed=N -v    repeats one run and prints its trace
//	go test ./internal/storm -run 'TestStorm$' -storm.seeds=N      runs N seeds
package storm
