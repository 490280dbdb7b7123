package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// prompts asks the user at the terminal. Without one every question is an
// error that says which flag answers it, never a wait.
type prompts struct {
	in  *os.File
	out io.Writer
	buf *bufio.Reader
}

func newPrompts() *prompts {
	return &prompts{in: os.Stdin, out: os.Stderr, buf: bufio.NewReader(os.Stdin)}
}

func (p *prompts) terminal() bool { return term.IsTerminal(int(p.in.Fd())) }

// text asks for a line; instead names what to give without a terminal.
func (p *prompts) text(ctx context.Context, question, instead string) (string, error) {
	if err := p.can(question, instead); err != nil {
		return "", err
	}
	fmt.Fprintf(p.out, "%s: ", question)
	return p.answer(ctx, func() (string, error) { return p.buf.ReadString('\n') })
}

// secret asks for a line that is not shown.
func (p *prompts) secret(ctx context.Context, question, instead string) (string, error) {
	if err := p.can(question, instead); err != nil {
		return "", err
	}
	fmt.Fprintf(p.out, "%s: ", question)
	fd := int(p.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer term.Restore(fd, before) // also when the answer is not waited for
	text, err := p.answer(ctx, func() (string, error) {
		raw, err := term.ReadPassword(fd)
		return string(raw), err
	})
	fmt.Fprintln(p.out)
	return text, err
}

// newPassword asks twice for a secret, until both are the same.
func (p *prompts) newPassword(ctx context.Context, question, instead string) (string, error) {
	for {
		first, err := p.secret(ctx, question, instead)
		if err != nil {
			return "", err
		}
		again, err := p.secret(ctx, question+" again", instead)
		if err != nil {
			return "", err
		}
		if first == again {
			return first, nil
		}
		fmt.Fprintln(p.out, "The two differ.")
	}
}

// question is one that a flag can answer.
type question struct {
	value      *string
	text, flag string
	ask        func(ctx context.Context, question, instead string) (string, error)
}

// askMissing asks the questions that have no answer yet.
func askMissing(ctx context.Context, questions []question) (err error) {
	for _, q := range questions {
		if *q.value != "" {
			continue
		}
		if *q.value, err = q.ask(ctx, q.text, q.flag); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks a question that is no unless the user says yes.
func (p *prompts) confirm(ctx context.Context, question string) error {
	text, err := p.text(ctx, question+" [y/N]", "--yes")
	if err != nil {
		return err
	}
	if text = strings.ToLower(text); text != "y" && text != "yes" {
		return errDeclined
	}
	return nil
}

func (p *prompts) can(question, instead string) error {
	if p.terminal() {
		return nil
	}
	return withHint(fmt.Errorf("%s: stdin is not a terminal to answer at", strings.ToLower(question[:1])+question[1:]), "give "+instead)
}

// answer waits for read, or for the user to interrupt; then read is left
// behind, which the end of the process ends.
func (p *prompts) answer(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{strings.TrimSpace(text), err}
	}()
	select {
	case r := <-done:
		if errors.Is(r.err, io.EOF) && r.text == "" {
			return "", errDeclined
		}
		return r.text, nil
	case <-ctx.Done():
		fmt.Fprintln(p.out)
		return "", errDeclined
	}
}
