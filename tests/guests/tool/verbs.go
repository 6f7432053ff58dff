package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// A verb is one kind of step.
type verb struct {
	form     string // its operands, for the usage text
	min, max int    // how many it takes; the last one takes the rest of the line
	run      func(operands []string) error
}

// split cuts the text after the verb into at most max operands; the last one keeps its spaces.
func (v verb) split(text string) []string {
	if text == "" || v.max == 0 {
		return nil
	}
	return strings.SplitN(text, " ", v.max)
}

var verbs = map[string]verb{
	"print":  {"[TEXT]", 0, 1, func(o []string) error { return say(os.Stdout, o) }},
	"eprint": {"[TEXT]", 0, 1, func(o []string) error { return say(os.Stderr, o) }},
	"env":    {"[NAME]", 0, 1, env},
	"args":   {"", 0, 0, func([]string) error { return printJSON(os.Args) }},
	"cwd":    {"", 0, 0, cwd},
	"stdin":  {"", 0, 0, stdin},

	"read":   {"FILE", 1, 1, read},
	"write":  {"FILE [TEXT]", 1, 2, write},
	"append": {"FILE [TEXT]", 1, 2, appendTo},
	"remove": {"FILE", 1, 1, func(o []string) error { return os.Remove(o[0]) }},
	"ls":     {"DIR", 1, 1, list},
	"exists": {"PATH", 1, 1, exists},
	"absent": {"PATH", 1, 1, absent},

	"sleep": {"DURATION", 1, 1, sleep},
	"lines": {"COUNT [INTERVAL]", 1, 2, lines},
	"exit":  {"CODE", 1, 1, exit},
	"trap":  {"", 0, 0, func([]string) error { unreachable(); return nil }},
	"spin":  {"[DURATION]", 0, 1, spin},
	"alloc": {"MEBIBYTES", 1, 1, alloc},
}

// unreachable executes the instruction of that name.
func unreachable()

func say(to *os.File, operands []string) error {
	_, err := fmt.Fprintln(to, strings.Join(operands, ""))
	return err
}

// === Surroundings ===

func env(operands []string) error {
	if len(operands) == 0 {
		for _, variable := range os.Environ() {
			fmt.Println(variable)
		}
		return nil
	}
	value, ok := os.LookupEnv(operands[0])
	if !ok {
		return fmt.Errorf("environment variable %s is not set", operands[0])
	}
	fmt.Println(value)
	return nil
}

func cwd([]string) error {
	dir, err := os.Getwd()
	if err == nil {
		fmt.Println(dir)
	}
	return err
}

// === Files ===

func read(operands []string) error {
	content, err := os.ReadFile(operands[0])
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(content)
	return err
}

func write(operands []string) error {
	return writeWith(operands, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
}

func appendTo(operands []string) error {
	return writeWith(operands, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
}

func writeWith(operands []string, flags int) error {
	file, err := os.OpenFile(operands[0], flags, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	return say(file, operands[1:])
}

// list prints one name per line, directories with a slash at the end.
func list(operands []string) error {
	entries, err := os.ReadDir(operands[0])
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() {
			name += "/"
		}
		fmt.Println(name)
	}
	return err
}

func exists(operands []string) error {
	if _, err := os.Stat(operands[0]); err != nil {
		return fmt.Errorf("%s should exist: %w", operands[0], err)
	}
	return nil
}

func absent(operands []string) error {
	_, err := os.Lstat(operands[0])
	if err == nil {
		return fmt.Errorf("%s should not exist", operands[0])
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// === Time, memory and the end ===

func sleep(operands []string) error {
	d, err := time.ParseDuration(operands[0])
	if err == nil {
		time.Sleep(d)
	}
	return err
}

// lines prints "line 1" to "line COUNT", with INTERVAL between two of them.
func lines(operands []string) error {
	count, err := strconv.Atoi(operands[0])
	if err != nil {
		return err
	}
	var interval time.Duration
	if len(operands) == 2 {
		if interval, err = time.ParseDuration(operands[1]); err != nil {
			return err
		}
	}
	for i := range count {
		if i > 0 {
			time.Sleep(interval)
		}
		fmt.Printf("line %d\n", i+1)
	}
	return nil
}

func exit(operands []string) error {
	code, err := strconv.Atoi(operands[0])
	if err == nil {
		os.Exit(code)
	}
	return err
}

// spin computes for a time, or for ever, without calling the host other than to read the clock.
func spin(operands []string) error {
	if len(operands) == 0 {
		for {
		}
	}
	d, err := time.ParseDuration(operands[0])
	for end := time.Now().Add(d); err == nil && time.Now().Before(end); {
	}
	return err
}

// kept is what alloc has taken: memory that nothing refers to would be given back.
var kept [][]byte

// alloc takes memory and touches every page of it.
func alloc(operands []string) error {
	mebibytes, err := strconv.Atoi(operands[0])
	if err != nil {
		return err
	}
	for range mebibytes {
		block := make([]byte, 1<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
	}
	fmt.Printf("allocated %d MiB\n", mebibytes)
	return nil
}
