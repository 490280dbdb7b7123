//go:build linux

package home

// kind is what a name stands for.
type kind int

const (
	absent kind = iota
	file
	directory
	link
	special // a socket, pipe or device
)

func (k kind) String() string {
	return [...]string{"nothing", "a file", "a directory", "a link", "a socket, pipe or device"}[k]
}

// linkTo is where the link in the home leads.
type linkTo int

const (
	noLink    linkTo = iota
	toPlace          // the place of the path on the volume
	toVolume         // elsewhere on the volume
	elsewhere        // not the volume
)

// facts is what the decision for a path depends on.
type facts struct {
	dir    bool // declared as a directory
	noSeed bool
	merge  bool

	home   kind
	leads  linkTo // of home, when it is a link
	volume kind

	wasLink bool // the path was a link of ours in the life of this container
	newer   bool // what is in the home came there after the volume's was last changed

	linksOnly bool // the volume must not be changed
	full      bool // the volume has no room
	takeBack  bool // only what took the place of links is of interest
}

// toVolumeStep is what happens on the volume.
type volumeStep int

const (
	leaveVolume volumeStep = iota
	makeDir                // an empty directory
	makeParent             // for a file that is not there yet
	seed                   // a copy of what is in the home, where nothing is
	merge                  // copies of what is in the home and not there
	fold                   // a copy of the home's file in place of the volume's
)

// homeStep is what happens in the home, after the step on the volume.
type homeStep int

const (
	leaveHome homeStep = iota
	makeLink           // where nothing is
	replace            // what is there, by a link, once it is saved
)

// decision is what to do with a path. action and detail are for the log, action
// "" for nothing to tell.
type decision struct {
	volume volumeStep
	home   homeStep
	level  Level
	action Action
	detail string
}

// decide is the table of home × volume.
//
//	home             volume: absent           there
//	────             ──────────────           ─────
//	absent           make dir or parent,      link
//	                 link
//	real             seed, replace            replace (the volume wins), or
//	                                          merge and replace, or, for a newer
//	                                          file that was our link, fold and replace
//	link to place    make dir or parent       nothing
//	link to volume   make, replace            replace
//	link elsewhere   leave                    leave
func decide(f facts) decision {
	real := f.home == file || f.home == directory
	if f.takeBack && !real {
		return decision{}
	}
	if d, wrong := f.misfit(); wrong {
		return d
	}
	switch {
	case f.linksOnly:
		return f.linkOnly()
	case real && f.volume == absent:
		return f.seed()
	case real:
		return f.meet()
	}
	d := decision{level: Info, action: Linked, volume: f.prepare()}
	switch {
	case f.home == absent:
		d.home = makeLink
	case f.leads == toVolume:
		d.home, d.detail = replace, "the link led elsewhere on the volume"
	case d.volume == makeDir:
		d.detail = "made its directory on the volume again"
	default:
		d.action = ""
	}
	return d
}

// want is the kind that the path is declared as.
func (f facts) want() kind {
	if f.dir {
		return directory
	}
	return file
}

// misfit finds what is left alone because it is none of ours, or not what it
// is declared to be.
func (f facts) misfit() (decision, bool) {
	failed := func(where string, k kind) (decision, bool) {
		return decision{level: Error, action: Failed, detail: "is declared as " + f.want().String() + ", and " + where + " has " + k.String()}, true
	}
	switch {
	case f.home == link && f.leads == elsewhere:
		return decision{level: Warn, action: Foreign, detail: "is a link that leads off the volume"}, true
	case f.home != absent && f.home != link && f.home != f.want():
		return failed("the home", f.home)
	case f.volume != absent && f.volume != f.want():
		return failed("the volume", f.volume)
	}
	return decision{}, false
}

// prepare is what the volume needs before a link leads there. A link to a
// directory that is not there would fail "mkdir -p"; one to a file that is not
// there is created through by a plain open.
func (f facts) prepare() volumeStep {
	switch {
	case f.volume != absent:
		return leaveVolume
	case f.dir:
		return makeDir
	}
	return makeParent
}

// linkOnly links what the volume has and touches nothing else.
func (f facts) linkOnly() decision {
	switch {
	case f.home == link && f.leads == toPlace:
		return decision{}
	case f.volume == absent:
		return decision{level: Warn, action: Skipped, detail: "nothing can be made on the volume"}
	case f.home == absent:
		return decision{level: Info, action: Linked, home: makeLink}
	case f.home == link:
		return decision{level: Info, action: Linked, home: replace, detail: "the link led elsewhere on the volume"}
	}
	return decision{level: Warn, action: Skipped, detail: "nothing can be saved on the volume: the home has its own"}
}

// seed is for what only the home has.
func (f facts) seed() decision {
	switch {
	case f.full:
		return decision{level: Warn, action: Skipped, detail: "the volume has no room for what is in the home"}
	case f.noSeed:
		return decision{level: Info, action: Linked, volume: f.prepare(), home: replace, detail: "without what was in the home"}
	}
	return decision{level: Info, action: Seeded, volume: seed, home: replace}
}

// meet is for what both have.
func (f facts) meet() decision {
	switch {
	case !f.dir && f.wasLink && f.newer:
		return decision{level: Info, action: Folded, volume: fold, home: replace}
	case f.merge:
		return decision{level: Info, action: Merged, volume: merge, home: replace}
	}
	return decision{level: Info, action: Kept, home: replace, detail: "the volume's counts"}
}
