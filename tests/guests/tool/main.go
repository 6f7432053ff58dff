// Command tool is the scriptable guest of the tests: a WASI preview 1 command that does what its
// arguments say, one step after the other.
//
//	tool "print hello" "sleep 2s" "read /etc/config/key" "exit 3"
//
// Each argument is one step: a verb and, after a space, what it needs. The text of print, eprint and
// write is all that follows, spaces included. Arguments after "--" are no steps; "args" shows them.
// A step that fails says "ERR: ..." on standard error and ends the program with 1; a step that nobody
// could perform ends it with 2 before the first one runs.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

func main() {
	script, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "ERR: %v\n%s", err, usage())
		os.Exit(2)
	}
	for _, s := range script {
		if err := s.verb.run(s.operands); err != nil {
			fmt.Fprintf(os.Stderr, "ERR: %v\n", err)
			os.Exit(1)
		}
	}
}

// A step is a verb with its operands.
type step struct {
	verb     verb
	operands []string
}

// parse checks the whole script, so that a mistake in the last step is known before the first has run.
func parse(args []string) ([]step, error) {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("no step given")
	}
	var script []step
	for _, arg := range args {
		name, rest, _ := strings.Cut(strings.TrimSpace(arg), " ")
		v, ok := verbs[name]
		if !ok {
			return nil, fmt.Errorf("unknown step %q", arg)
		}
		operands := v.split(rest)
		if len(operands) < v.min || len(operands) > v.max {
			return nil, fmt.Errorf("step %q: want %s %s", arg, name, v.form)
		}
		script = append(script, step{v, operands})
	}
	return script, nil
}

func usage() string {
	var lines []string
	for name, v := range verbs {
		lines = append(lines, strings.TrimSpace("  "+name+" "+v.form))
	}
	slices.Sort(lines)
	return "steps:\n  " + strings.Join(lines, "\n  ") + "\n"
}
