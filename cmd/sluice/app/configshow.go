package app

import (
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// showConfigCommand prints what a node would run with.
func showConfigCommand(p Process) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration that counts: file, environment and defaults together",
		Long: "Prints every key with the value that counts, as sluice serve would find it: defaults, the file, SLUICE_* environment.\n" +
			"Secrets are masked; where they are (file:, env:, credential:) is shown.",
		Example: "  sluice config show\n  sluice config show --config /etc/sluice/sluice.yaml",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file of the node")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			file = findConfig(p.Environ)
		}
		c, warnings, err := Load(Sources{File: file, Environ: p.Environ})
		if err != nil {
			return err
		}
		for _, w := range warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
		}
		text, err := yaml.MarshalWithOptions(ordered(reflect.ValueOf(c)), yaml.IndentSequence(false))
		if err != nil {
			return fmt.Errorf("show the configuration: %w", err)
		}
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	return cmd
}

// ordered turns a configuration into what is written as YAML in the order of its type. Sections that are not there
// and, in lists, keys that were not said are left out.
func ordered(v reflect.Value) any {
	switch {
	case v.Type() == reflect.TypeFor[bool]() || v.Kind() == reflect.Int:
		return v.Interface()
	case isScalar(v.Type()):
		return plain(v)
	case v.Kind() == reflect.Pointer:
		return ordered(v.Elem())
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = ordered(v.Index(i))
		}
		return list
	}
	var section yaml.MapSlice
	for i := range v.NumField() {
		f := v.Field(i)
		if key(v.Type().Field(i)) == noKey || f.Kind() == reflect.Pointer && f.IsNil() || f.IsZero() && v.Type() != reflect.TypeFor[Config]() && f.Kind() != reflect.Bool {
			continue
		}
		section = append(section, yaml.MapItem{Key: key(v.Type().Field(i)), Value: ordered(f)})
	}
	return section
}
