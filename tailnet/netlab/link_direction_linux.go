package netlab

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Counters says what became of the packets of one direction. While the
// conditions are perfect a packet can be a TCP segment of up to 64 KiB.
type Counters struct {
	Packets  uint64 // delivered
	Bytes    uint64 // delivered, with IP headers
	Lost     uint64 // by Conditions.Loss
	Overflow uint64 // dropped because the queue was full
	Cut      uint64 // dropped because the link was down
	Refused  uint64 // not taken by the kernel on the other side: interface down
}

// Direction carries packets one way between two tun devices.
type Direction struct {
	from, to int // tun descriptors, closed by the Link
	wake     int // eventfd that ends a wait
	ended    chan struct{}

	setting sync.Mutex // one change at a time
	change  atomic.Pointer[change]

	packets, bytes, lost, overflow, cut, refused atomic.Uint64

	// Below belongs to run.
	shaper  shaper
	queue   []parcel // in order of due
	epoch   time.Time
	scratch []byte
}

// change is a request to run; done is closed when it is in force.
type change struct {
	cond Conditions
	stop bool
	done chan struct{}
}

// parcel is a packet on its way.
type parcel struct {
	due   time.Duration
	frame []byte
}

// maxBatch is how many packets are read before those due are looked after.
const maxBatch = 64

func newDirection(from, to int, stream uint64) (*Direction, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	d := &Direction{
		from: from, to: to, wake: wake,
		ended:   make(chan struct{}),
		epoch:   time.Now(),
		scratch: make([]byte, maxRead),
		shaper:  shaper{stream: stream},
	}
	go d.run()
	d.Set(Conditions{})
	return d, nil
}

// Set changes the conditions and returns when they are in force. Packets under
// way keep the arrival they were given, unless the link goes down. A closed
// direction ignores it.
func (d *Direction) Set(c Conditions) { d.request(&change{cond: c}) }

// Counters reads the counters, which only grow.
func (d *Direction) Counters() Counters {
	return Counters{
		Packets: d.packets.Load(), Bytes: d.bytes.Load(), Lost: d.lost.Load(),
		Overflow: d.overflow.Load(), Cut: d.cut.Load(), Refused: d.refused.Load(),
	}
}

func (d *Direction) request(c *change) {
	d.setting.Lock()
	defer d.setting.Unlock()
	c.done = make(chan struct{})
	d.change.Store(c)
	select {
	case <-d.ended:
		return
	default:
		d.ring()
	}
	select {
	case <-c.done:
	case <-d.ended:
	}
}

// close stops carrying; the caller closes the tuns after it.
func (d *Direction) close() {
	d.request(&change{stop: true})
	d.setting.Lock()
	defer d.setting.Unlock()
	if d.wake >= 0 {
		unix.Close(d.wake)
		d.wake = -1
	}
}

// run is a thread of its own: the waits are ppoll, because the runtime's
// timers round to a millisecond when the process is idle.
func (d *Direction) run() {
	defer close(d.ended)
	for {
		if stop := d.adopt(); stop {
			return
		}
		more, err := d.receive()
		if err != nil {
			return // the namespace is gone
		}
		d.release()
		if !more {
			d.wait()
		}
	}
}

// adopt takes over a requested change and reports whether it is to stop.
func (d *Direction) adopt() (stop bool) {
	c := d.change.Swap(nil)
	if c == nil {
		return false
	}
	defer close(c.done)
	if c.stop {
		return true
	}
	d.silence()
	d.shaper.set(c.cond)
	if c.cond.Down {
		d.drop()
	}
	// Only what changes how the kernel cuts packets can fail, and then only
	// because the device is gone, which the next read finds.
	_ = setOffload(d.from, c.cond.perfect())
	return false
}

// drop forgets what is under way.
func (d *Direction) drop() {
	for _, p := range d.queue {
		d.shaper.done(len(p.frame) - vnetHeader)
		d.cut.Add(1)
	}
	d.queue = nil
}

// receive reads what is there, at most a batch; more says that there may be
// more already.
func (d *Direction) receive() (more bool, err error) {
	for range maxBatch {
		n, err := unix.Read(d.from, d.scratch)
		if errors.Is(err, unix.EAGAIN) {
			return false, nil
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, err
		}
		if frame := d.scratch[:n]; unicast(frame) {
			d.take(frame)
		}
	}
	return true, nil
}

// take puts one packet on its way; frame is only lent.
func (d *Direction) take(frame []byte) {
	if d.shaper.cond.perfect() && len(d.queue) == 0 {
		d.write(frame)
		return
	}
	due, v := d.shaper.admit(d.now(), len(frame)-vnetHeader)
	switch v {
	case deliver:
		d.queue = append(d.queue, parcel{due, append([]byte(nil), frame...)})
	case lost:
		d.lost.Add(1)
	case overflow:
		d.overflow.Add(1)
	case cut:
		d.cut.Add(1)
	}
}

// release delivers what is due.
func (d *Direction) release() {
	if len(d.queue) == 0 {
		return
	}
	now, n := d.now(), 0
	for ; n < len(d.queue) && d.queue[n].due <= now; n++ {
		frame := d.queue[n].frame
		d.queue[n].frame = nil
		d.write(frame)
		d.shaper.done(len(frame) - vnetHeader)
	}
	d.queue = d.queue[n:]
}

func (d *Direction) write(frame []byte) {
	if _, err := unix.Write(d.to, frame); err != nil {
		d.refused.Add(1)
		return
	}
	d.packets.Add(1)
	d.bytes.Add(uint64(len(frame) - vnetHeader))
}

// wait returns when there is something to read, to deliver or to change.
func (d *Direction) wait() {
	var timeout *unix.Timespec
	if len(d.queue) > 0 {
		ts := unix.NsecToTimespec(int64(max(0, d.queue[0].due-d.now())))
		timeout = &ts
	}
	fds := []unix.PollFd{
		{Fd: int32(d.from), Events: unix.POLLIN},
		{Fd: int32(d.wake), Events: unix.POLLIN},
	}
	// An interrupted wait is a wait that ended early.
	_, _ = unix.Ppoll(fds, timeout, nil)
}

func (d *Direction) now() time.Duration { return time.Since(d.epoch) }

// ring makes the current or next wait return; silence undoes it.
func (d *Direction) ring() { _, _ = unix.Write(d.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (d *Direction) silence() {
	var count [8]byte
	_, _ = unix.Read(d.wake, count[:])
}
