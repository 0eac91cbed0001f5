// Package tidy holds tests about the repository itself: who may import whom, what code may not do, how long files
// and functions may grow, that every dependency has a reason and every attack a test. A rule of style that is not
// checked here or by the linter is a wish.
package tidy
