// Command large is a guest of the size that real programs in Go have: it checks Go source and writes about it as a web
// page, JSON, XML and an archive. It ends after one file, so that a benchmark sees what its size costs.
package main

import (
	"archive/zip"
	"encoding/json"
	"encoding/xml"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"html/template"
	"io"
	"log/slog"
	"os"
)

const source = "package p\n\nfunc Add(a, b int) int { return a + b }\n"

// report is what is told about a file.
type report struct {
	Package string
	Names   []string
	Source  string
}

var layout = template.Must(template.New("page").Parse(`<h1>{{.Package}}</h1>{{range .Names}}<li>{{.}}</li>{{end}}`))

// writers are chosen by name, so that all of them are linked.
var writers = map[string]func(io.Writer, report) error{
	"html": func(w io.Writer, r report) error { return layout.Execute(w, r) },
	"json": func(w io.Writer, r report) error { return json.NewEncoder(w).Encode(r) },
	"xml":  func(w io.Writer, r report) error { return xml.NewEncoder(w).Encode(r) },
	"zip": func(w io.Writer, r report) error {
		archive := zip.NewWriter(w)
		file, err := archive.Create("source.go")
		if err != nil {
			return err
		}
		if _, err := io.WriteString(file, r.Source); err != nil {
			return err
		}
		return archive.Close()
	},
	"go": func(w io.Writer, r report) error {
		text, err := format.Source([]byte(r.Source))
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	},
}

// check parses and type-checks a file.
func check(text string) (report, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "p.go", text, parser.ParseComments)
	if err != nil {
		return report{}, err
	}
	checked, err := new(types.Config).Check("p", files, []*ast.File{file}, nil)
	if err != nil {
		return report{}, err
	}
	return report{Package: checked.Name(), Names: checked.Scope().Names(), Source: text}, nil
}

func run(form string) error {
	about, err := check(source)
	if err != nil {
		return err
	}
	return writers[form](os.Stdout, about)
}

func main() {
	form := "html"
	if len(os.Args) > 1 {
		form = os.Args[1]
	}
	if err := run(form); err != nil {
		slog.Error("no report", "error", err)
		os.Exit(1)
	}
}
