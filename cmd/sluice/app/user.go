package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sluice-mq/sluice/auth/users"
)

// userCommand is about what stands in auth.users.
func userCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "Make what the users in the configuration need"}
	cmd.AddCommand(hashCommand(), tokenCommand(), importCommand())
	return cmd
}

func hashCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "hash",
		Short:   "Make the hash of a password",
		Long:    "Reads a password, from the terminal without showing it or as one line from standard input, and prints its hash (argon2id) for auth.users.",
		Example: "  sluice user hash\n  sluice user hash < password.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			hash, err := users.Hash(password)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
			return err
		},
	}
}

// readPassword asks on a terminal, twice and without an echo; else it reads a line.
func readPassword(in io.Reader, prompt io.Writer) (string, error) {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(prompt, "Password: ")
		first, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprint(prompt, "\nOnce more: ")
		second, again := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(prompt)
		if err := errors.Join(err, again); err != nil {
			return "", err
		}
		if string(first) != string(second) {
			return "", errors.New("the two are not the same")
		}
		return string(first), nil
	}
	line, err := bufio.NewReader(io.LimitReader(in, users.MaxPasscode+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "token",
		Short:   "Make a token that nobody can guess",
		Long:    "Prints a new token for its user, and what auth.users keeps of it.",
		Example: "  sluice user token",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, stored := users.NewToken()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "for the user:        %s\nfor the configuration: %s\n", token, stored)
			return err
		},
	}
}

func importCommand() *cobra.Command {
	var groups, certificates string
	cmd := &cobra.Command{
		Use:   "import USERS",
		Short: "Make users of ActiveMQ's properties files, or of name:hash lines",
		Long: "Reads users.properties of ActiveMQ (name=password), or lines of name:hash as htpasswd writes them, and prints them as\n" +
			"auth.users. Passwords in plain text are hashed. What could not be taken over is said on standard error.",
		Example: "  sluice user import users.properties --groups groups.properties --certificates users-dns.properties > users.yaml",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&groups, "groups", "", "groups.properties: group=name,name")
	cmd.Flags().StringVar(&certificates, "certificates", "", "name=subject, as TextFileCertificateLoginModule reads it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		found, err := importUsers(args[0], groups, certificates, users.Hash)
		if err != nil {
			return err
		}
		for _, note := range found.Notes {
			fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
		}
		text, err := yaml.MarshalWithOptions(yaml.MapSlice{{Key: "users", Value: importedUsers(found)}}, yaml.IndentSequence(false), yaml.Flow(false))
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	return cmd
}

// importUsers reads files of other software: properties, or lines of name:hash.
func importUsers(path, groups, certificates string, hash func(string) (string, error)) (users.Imported, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return users.Imported{}, err
	}
	if lines := string(text); groups == "" && certificates == "" && hashLines(lines) {
		return users.ImportHashes(strings.NewReader(lines))
	}
	all := users.ActiveMQ{Users: strings.NewReader(string(text)), Hash: hash}
	for path, to := range map[string]*io.Reader{groups: &all.Groups, certificates: &all.Certificates} {
		if path == "" {
			continue
		}
		more, err := os.ReadFile(path)
		if err != nil {
			return users.Imported{}, err
		}
		*to = strings.NewReader(string(more))
	}
	return all.Import()
}

// hashLines reports whether the first line that says anything has a colon before any equals sign.
func hashLines(text string) bool {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "!") {
			continue
		}
		colon, equals := strings.IndexByte(line, ':'), strings.IndexByte(line, '=')
		return colon > 0 && (equals < 0 || colon < equals)
	}
	return false
}

// importedUsers are users as the configuration has them.
func importedUsers(found users.Imported) []any {
	member := map[string][]string{}
	for _, g := range found.Groups {
		for _, m := range g.Members {
			member[m] = append(member[m], g.Name)
		}
	}
	all := make([]any, 0, len(found.Users))
	for _, u := range found.Users {
		entry := yaml.MapSlice{{Key: "name", Value: u.Name}}
		if u.Password != "" {
			entry = append(entry, yaml.MapItem{Key: "password", Value: u.Password})
		}
		if len(u.DNs) > 0 {
			entry = append(entry, yaml.MapItem{Key: "dns", Value: u.DNs})
		}
		if g := append(u.Groups, member[u.Name]...); len(g) > 0 {
			entry = append(entry, yaml.MapItem{Key: "groups", Value: g})
		}
		all = append(all, entry)
	}
	return all
}
