// SPDX-License-Identifier: Apache-2.0

package janusproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// outputGrace is how long the output of an ended process is still read when something it started holds its pipe open.
const outputGrace = time.Second

// ErrNotRunning is returned for a signal to a process that has ended.
var ErrNotRunning = errors.New("janusproc: process has ended")

// Command is how a process is started.
type Command struct {
	// Args is the program, looked up in PATH, and its arguments. No shell is involved.
	Args []string
	// Dir is the working directory; "" is ours. Env replaces our environment; nil is ours.
	Dir string
	Env []string
	// Stdout and Stderr get the output, each from one goroutine at a time. The same writer for both gets both. nil discards.
	Stdout, Stderr io.Writer
	// Outlive lets the process go on when ours dies, however it dies: it gets no terminal signals, and its writes to the lost
	// pipe fail instead of killing it. Without Outlive the kernel ends it (SIGKILL) when we die.
	Outlive bool
}

// Process is a child of ours, at the head of a process group of its own: a signal from us reaches what it started as well, one
// from the terminal reaches neither. Its methods may be called from any goroutine.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

// Start starts a process. Two goroutines stay with it until it has ended.
func Start(c Command) (*Process, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("janusproc: no command")
	}
	p := &Process{cmd: c.build(), done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started, !c.Outlive)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("janusproc: start %s: %w", c.Args[0], err)
	}
	return p, nil
}

func (c Command) build() *exec.Cmd {
	args := c.Args
	if c.Outlive {
		// An ignored signal stays ignored over exec, whatever the program does about its own.
		args = append([]string{"/bin/sh", "-c", `trap "" PIPE; exec "$@"`, "sh"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	cmd.WaitDelay = outputGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !c.Outlive {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	return cmd
}

// run starts the process and waits for it. The kernel sends the death signal when the thread that started the child ends, not
// the process: so the thread is held.
func (p *Process) run(started chan<- error, bound bool) {
	if bound {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	// What it started and left behind would keep its ports.
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
}

// PID is the process id, which is also the id of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err tells how the process ended: nil for exit status 0, otherwise an *exec.ExitError. Valid once Done is closed.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Signal sends sig to the process and to what it started. ErrNotRunning when it has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return ErrNotRunning
	default:
	}
	if err := syscall.Kill(-p.PID(), sig); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			return ErrNotRunning
		}
		return fmt.Errorf("janusproc: signal %v: %w", sig, err)
	}
	return nil
}

// Stop asks the process to end (SIGTERM), kills it when it has not within grace or once ctx is done, and returns when it has
// ended. A frozen process is killed like any other.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); errors.Is(err, ErrNotRunning) {
		<-p.done
		return nil
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	err := p.Signal(syscall.SIGKILL)
	if errors.Is(err, ErrNotRunning) {
		err = nil
	}
	<-p.done
	return err
}
