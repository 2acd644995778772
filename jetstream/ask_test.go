package jetstream_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// An answer may be longer than what the server takes at once.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	long := bytes.Repeat([]byte("0123456789abcde\n"), 5<<20/2)
	stop, err := all[1].store.Questions("long").Answer(func(context.Context, []byte) []byte { return long })
	require.NoError(t, err)
	defer stop()
	q := all[0].store.Questions("long")
	gatewaytest.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		answer, err := q.Ask(ctx, "n2", []byte("?"))
		return err == nil && bytes.Equal(long, answer)
	}, "the second node answers")
}

// Nodes ask one another: the answer comes from the one that was asked, whoever does not answer is not waited for, and a stop waits for what is under way.
func TestNodesAskOneAnother(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	ctx := t.Context()
	begun, ended, stops := make(chan struct{}, 1), make(chan string, 2), []func(){}
	for _, m := range all[:2] {
		stop, err := m.store.Questions("name").Answer(func(ctx context.Context, question []byte) []byte {
			if text := string(question); text == "wait" || text == "in vain" {
				begun <- struct{}{}
				<-ctx.Done()
				ended <- text
			}
			return []byte(m.name + " " + string(question))
		})
		require.NoError(t, err)
		stops = append(stops, stop)
	}
	q := all[0].store.Questions("name")
	gatewaytest.Eventually(t, func() bool {
		answer, err := q.Ask(ctx, "n2", []byte("hello"))
		return err == nil && string(answer) == "n2 hello"
	}, "the second node answers")
	answer, err := q.Ask(ctx, "n1", []byte("me"))
	require.NoError(t, err)
	require.Equal(t, "n1 me", string(answer))
	for _, nobody := range []string{"n3", "n4"} {
		within, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err = q.Ask(within, nobody, nil)
		cancel()
		require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
	}
	_, err = all[0].store.Questions("other").Ask(ctx, "n2", nil)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
	waited := make(chan string, 1)
	go func() {
		answer, _ := q.Ask(ctx, "n2", []byte("wait"))
		waited <- string(answer)
	}()
	<-begun
	brief, leave := context.WithCancel(ctx)
	left := make(chan error, 1)
	go func() {
		_, err := q.Ask(brief, "n2", []byte("in vain"))
		left <- err
	}()
	<-begun
	leave()
	require.Equal(t, gateway.Unavailable, gateway.KindOf(<-left))
	select {
	case text := <-ended:
		require.Equal(t, "in vain", text, "who answers hears that nobody wants to know any more, and nobody else does")
	case <-time.After(gatewaytest.Wait):
		require.Fail(t, "it is still being answered")
	}
	stops[1]()
	require.Equal(t, "n2 wait", <-waited, "it was answered before the stop was over")
	stops[0]()
}
