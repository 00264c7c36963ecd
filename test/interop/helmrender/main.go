// Renders the templates of a Helm chart with Go's own text/template, which is what Helm uses, and the few
// functions of Helm that the chart may use. What it prints is what `helm template` would.
//
//	helmrender TEMPLATE… < {"Values": …, "Chart": …, "Release": …}
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

var functions = template.FuncMap{
	"quote": func(value any) string {
		text, _ := json.Marshal(fmt.Sprint(value))
		return string(text)
	},
	"default": func(fallback, value any) any {
		if value == nil || value == "" {
			return fallback
		}
		return value
	},
	// JSON is YAML.
	"toYaml": func(value any) (string, error) {
		text, err := json.Marshal(value)
		return string(text), err
	},
	"nindent": func(spaces int, text string) string {
		indent := "\n" + strings.Repeat(" ", spaces)
		return indent + strings.ReplaceAll(text, "\n", indent)
	},
}

func main() {
	if err := render(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "helmrender:", err)
		os.Exit(1)
	}
}

func render(paths []string) error {
	var data map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&data); err != nil {
		return err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// A value that is not there is an error, not "<no value>".
		parsed, err := template.New(filepath.Base(path)).
			Option("missingkey=error").Funcs(functions).Parse(string(text))
		if err != nil {
			return err
		}
		fmt.Println("---")
		if err := parsed.Execute(os.Stdout, data); err != nil {
			return err
		}
	}
	return nil
}
