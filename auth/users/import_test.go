package users_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/users"
)

func TestImportOfActiveMQsFiles(t *testing.T) {
	in, err := users.ActiveMQ{
		Users: strings.NewReader("# people\r\n! more\n\n" +
			"admin=secret\n" +
			"  alice : two words \n" +
			"bob b\\u00f6se\\\n   lang\n" +
			"a\\=b=\\=x\\ty\\\\\n" +
			"smile=\\ud83d\\ude00\n" +
			"enc=ENC(mYRkg+4Q4hua)\n" +
			"empty=\n" +
			"admin=later\n" +
			"dollar=$6$x\n"),
		Groups:       strings.NewReader("admins=admin\nusers=alice, bob,,ghost\n"),
		Certificates: strings.NewReader("host1=CN=host1, OU=x , DC=org\nalice=/DC=org/CN=alice\nbad=who\nall=/CN=.*/\n"),
		Hash:         func(p string) (string, error) { return "<" + p + ">", nil },
	}.Import()
	require.NoError(t, err)
	require.Equal(t, []users.User{
		{Name: "alice", Password: "<two words >", DNs: []string{"CN=alice, DC=org"}},
		{Name: "bob", Password: "<böselang>"},
		{Name: "a=b", Password: "<=x\ty\\>"},
		{Name: "smile", Password: "<😀>"},
		{Name: "enc"},
		{Name: "empty", Password: "<>"},
		{Name: "admin", Password: "<later>"},
		{Name: "dollar", Password: "<$6$x>"},
		{Name: "host1", DNs: []string{"CN=host1, OU=x, DC=org"}},
	}, in.Users)
	require.Equal(t, []users.Group{{Name: "admins", Members: []string{"admin"}}, {Name: "users", Members: []string{"alice", "bob", "ghost"}}}, in.Groups)
	require.Equal(t, []string{
		`users, line 4: left out: "admin" comes again in line 12, which is the one that counts`,
		`users, line 10: "enc": the password is encrypted, ENC(...): the user comes without one`,
		`certificates, line 3: "bad": the subject is left out: there is no = after "who"`,
		`certificates, line 4: "all": the subject is left out: it is a regular expression; write down the subjects`,
	}, in.Notes)
}

func TestImportedPasswordsWork(t *testing.T) {
	in, err := users.ActiveMQ{Users: strings.NewReader("alice=$6$looks-like-a-hash\nnone=\n")}.Import()
	require.NoError(t, err)
	require.Equal(t, []string{`users, line 2: "none": the user comes without a password: the password has 0 bytes; 1 to 1024 are possible`}, in.Notes)
	u := users.New(users.Config{}, directory(t, in.Users...))
	_, _, err = u.Verify(t.Context(), "alice", "$6$looks-like-a-hash")
	require.NoError(t, err)
}

func TestImportOfLatin1(t *testing.T) {
	in, err := users.ActiveMQ{Users: strings.NewReader("j\xfcrgen=b\xf6se"), Hash: func(p string) (string, error) { return p, nil }}.Import()
	require.NoError(t, err)
	require.Equal(t, []users.User{{Name: "jürgen", Password: "böse"}}, in.Users)
}

func TestImportOfWhatCannotBeRead(t *testing.T) {
	_, err := users.ActiveMQ{Users: strings.NewReader("a=1\nb=\\u12")}.Import()
	require.EqualError(t, err, `users: line 2: \u is not followed by four hexadecimal digits`)
	_, err = users.ActiveMQ{Groups: iotest.ErrReader(errors.New("gone"))}.Import()
	require.EqualError(t, err, "groups: gone")
	_, err = users.ImportHashes(strings.NewReader(strings.Repeat("#", 4<<20+1)))
	require.EqualError(t, err, "the file is longer than 4194304 bytes")
}

func TestImportOfHashes(t *testing.T) {
	in, err := users.ImportHashes(strings.NewReader("\ufeff# made by htpasswd\n\nalice:" + quickly(t, "geheim") + "\n" +
		"bob:$apr1$aa$bb\nclear:geheim\nno colon\n:x\nalice:again\n"))
	require.NoError(t, err)
	require.Equal(t, []users.User{{Name: "alice", Password: quickly(t, "geheim")}, {Name: "bob"}, {Name: "clear"}}, in.Users)
	require.Equal(t, []string{
		`line 4: "bob" comes without a password: the password is a hash of a kind that is not known here (argon2id, bcrypt, SHA-crypt are)`,
		`line 5: "clear" comes without a password: this is no hash that is known here (argon2id, bcrypt and SHA-crypt are)`,
		`line 6: left out: it has not the form name:hash`,
		`line 7: left out: the name is empty`,
		`line 8: left out: "alice" has been there before`,
	}, in.Notes)
	directory(t, in.Users...)
}

// FuzzImport: whatever is in a file, what comes out is either refused or fit for a directory, but for names that two of them share.
func FuzzImport(f *testing.F) {
	f.Add("a=b\nc\\\n d : e\\u0041\\t", "g=a, c", "a=CN=x,O=y")
	f.Add("a\\", "\\u", "=")
	f.Fuzz(func(t *testing.T, people, groups, certificates string) {
		in, err := users.ActiveMQ{
			Users: strings.NewReader(people), Groups: strings.NewReader(groups), Certificates: strings.NewReader(certificates),
			Hash: func(string) (string, error) { return quick + "MDEyMzQ1Njc4OWFiY2RlZg", nil },
		}.Import()
		if err != nil {
			return
		}
		if _, err = users.NewDirectory(in.Users, in.Groups); err != nil {
			require.ErrorContains(t, err, "that of user")
		}
		lines, err := users.ImportHashes(strings.NewReader(people))
		require.NoError(t, err)
		_, err = users.NewDirectory(lines.Users, nil)
		require.NoError(t, err)
	})
}
