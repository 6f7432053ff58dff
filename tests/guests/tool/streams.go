package main

import (
	"encoding/json"
	"io"
	"os"
)

// printJSON prints a value on one line, so that a test sees where one argument ends.
func printJSON(value any) error {
	return json.NewEncoder(os.Stdout).Encode(value)
}

// stdin echoes what it reads until the end of the file, and then says that it has come.
func stdin([]string) error {
	if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
		return err
	}
	_, err := os.Stdout.WriteString("end of input\n")
	return err
}
